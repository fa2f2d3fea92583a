/** Models that do not fit their templates: `templates.test.ts` holds that each misfit is told. */
export interface Templates {
  "some/a.hbs": {
    readonly name: string;
    readonly comment?: string;
    readonly items: readonly Item[];
    readonly choice: { readonly kind: string };
    readonly unread: number;
  };
}

type Item =
  | { readonly isGate: true; readonly bias: string }
  | { readonly isGate: false; readonly eps: string };
