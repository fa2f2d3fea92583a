/**
 * How templates are compiled, wherever it is done. Kernels are no HTML; partials keep their own indentation. A name that the model
 * does not have is an error (a test looks at what `strict` leaves out: conditions, and fields that nothing reads), and all helpers
 * are known, so that a name is never looked for among them.
 */
export const TEMPLATE_OPTIONS = {
  noEscape: true,
  preventIndent: true,
  strict: true,
  knownHelpersOnly: true,
  knownHelpers: { specLine: true },
} as const;
