import { openPostgresTarget } from "./postgres-target.ts";
import { describeTarget } from "./suite.ts";

describeTarget("PostgreSQL", openPostgresTarget);
