import { openMemoryHome } from "./memory-home.ts";
import { describeTarget } from "./suite.ts";

describeTarget("Memory", openMemoryHome);
