import ablation from "../../../ablation.mta?raw";
import groupedWindow from "../../../grouped_window.mta?raw";
import mta1b from "../../../mta_1b.mta?raw";
import mta300m from "../../../mta_300m.mta?raw";
import mta830m from "../../../mta_830m.mta?raw";
import mtaToy from "../../../mta_toy.mta?raw";

export interface Example {
  readonly name: string;
  readonly text: string;
}

/** The specs of the examples' folder; the first is what the page begins with. */
export const EXAMPLES: readonly [Example, ...Example[]] = [
  { name: "mta_830m", text: mta830m },
  { name: "mta_300m", text: mta300m },
  { name: "mta_1b", text: mta1b },
  { name: "mta_toy", text: mtaToy },
  { name: "grouped_window", text: groupedWindow },
  { name: "ablation", text: ablation },
];
