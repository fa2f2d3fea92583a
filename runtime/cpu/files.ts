/** The folder of the C sources and of the modules that are made of them: as far below this file in the sources as in a bundle. */
export const C_FOLDER = new URL("../../templates/c/", import.meta.url);
