import * as fc from "fast-check";
import { SEED } from "./seed.ts";

// Every property test takes the same seed: where a test does not say so itself, fast-check prints it when the test fails.
fc.configureGlobal({ seed: SEED });
