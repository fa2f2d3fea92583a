import { expect, test } from "vitest";
import { csvField, toCsv } from "../../compiler/bench/csv.ts";
import { escapeHtml, toHtml } from "../../compiler/bench/html.ts";
import { bytesPlot, productPlot, timePlot } from "../../compiler/bench/plots.ts";
import { hasWrongResults, subjectsOf } from "../../compiler/bench/report.ts";
import { FIXED_REPORT, HOSTILE } from "./fixed-report.ts";

test("a number without a bound is no value of CSV: 9007199254740991 would be added up", () => {
  expect([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1].map(csvField)).toEqual([
    "",
    "9007199254740990",
  ]);
});

test("fields of CSV are quoted where they must be", () => {
  expect(["a b", 'say "a"', "a,b", "a\nb", null, undefined, 1.5, true].map(csvField)).toEqual([
    "a b",
    '"say ""a"""',
    '"a,b"',
    '"a\nb"',
    "",
    "",
    "1.5",
    "true",
  ]);
});

test("a report as CSV", async () => {
  await expect(toCsv([FIXED_REPORT])).toMatchFileSnapshot("expected/report.csv");
});

test("a report as HTML", async () => {
  const html = toHtml(FIXED_REPORT, { time: "<svg>time</svg>", product: "<svg>product</svg>", bytes: null });
  await expect(html).toMatchFileSnapshot("expected/report.html");
});

test("names that hold markup stay text in pages and in plots", () => {
  expect(escapeHtml(HOSTILE)).toBe("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;,&#39;&amp;amp;");
  const plots = {
    time: timePlot(FIXED_REPORT),
    product: productPlot(FIXED_REPORT),
    bytes: bytesPlot(FIXED_REPORT),
  };
  const html = toHtml(FIXED_REPORT, plots);
  for (const text of [html, plots.time]) {
    expect(text).toContain("&lt;script&gt;alert(");
    expect(text).not.toMatch(/<(script|img|b|python)\b/i);
  }
  // Nothing is loaded from anywhere: names of XML namespaces are no addresses.
  expect(html.replaceAll(/ xmlns(:xlink)?="[^"]*"/g, "")).not.toMatch(
    /https?:|<[^>]*\ssrc=|<link|@import|url\((?!#)/,
  );
});

test("a plot shows who has a time, with quartiles, in colours for both grounds", () => {
  const svg = timePlot(FIXED_REPORT);
  expect(svg).toMatch(/^<svg [^>]*>\n<style>@media \(prefers-color-scheme:dark\)/);
  for (const text of ["unfused", "two_pass", ">64<", ">128<", ">10 ms<"]) expect(svg).toContain(text);
  // Wrong results have no time, so no line.
  expect(svg).not.toContain("tuned");
  expect(productPlot(FIXED_REPORT)).not.toContain("alert");
});

test("what nobody tells is not drawn", () => {
  const lengths = FIXED_REPORT.lengths.map((length) => ({
    ...length,
    rows: length.rows.map((row) => ({ ...row, shareOfProduct: null, bytesOverCompulsory: null })),
  }));
  expect(productPlot({ ...FIXED_REPORT, lengths })).toBeNull();
  expect(bytesPlot({ ...FIXED_REPORT, lengths })).toBeNull();
});

test("one length is drawn as well, and none", () => {
  expect(timePlot({ ...FIXED_REPORT, lengths: FIXED_REPORT.lengths.slice(0, 1) })).toContain(">64<");
  expect(timePlot({ ...FIXED_REPORT, lengths: [] })).toContain("Time of toy");
});

test("a report knows its subjects, and whether any was wrong", () => {
  expect(subjectsOf(FIXED_REPORT)).toEqual(["unfused", "two_pass", "backward", "tuned", HOSTILE]);
  expect(hasWrongResults(FIXED_REPORT)).toBe(true);
  expect(hasWrongResults({ ...FIXED_REPORT, lengths: [] })).toBe(false);
});
