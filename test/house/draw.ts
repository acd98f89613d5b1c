import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSources, root } from "../support/sources.ts";
import { drawHouse } from "./house.ts";

/** Draws docs/house.svg: the folders as rooms, from the imports in the sources. test/house.test.ts keeps it true. */
writeFileSync(join(root, "docs/house.svg"), drawHouse(readSources("bin/**/*.ts", "functions/**/*.ts", "lib/**/*.ts")));
