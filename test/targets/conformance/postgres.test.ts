import { openPostgresHome } from "./postgres-target.ts";
import { describeTarget } from "./suite.ts";

describeTarget("PostgreSQL", openPostgresHome);
