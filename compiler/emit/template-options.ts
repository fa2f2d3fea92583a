/** How templates are compiled, wherever it is done: kernels are no HTML, and partials keep their own indentation. */
export const TEMPLATE_OPTIONS = { noEscape: true, preventIndent: true } as const;
