import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** How long a poll may take on a busy machine; it ends as soon as it holds. */
const patience = { expect: { poll: { timeout: 20_000 } } };
const onDatabase = {
  ...patience,
  globalSetup: ["test/support/global-setup.ts"],
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    // Tests mostly wait for the server, which is a process of its own; by default one core would be left free.
    maxWorkers: availableParallelism(),
    projects: [
      {
        test: {
          ...patience,
          name: "unit",
          testTimeout: 30_000,
          include: ["test/*.test.ts", "test/{core,readers,aws,bench,cli,events,targets/encode}/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/{ledger,targets,steps,local,canary,monitoring}/**/*.test.ts"],
          exclude: ["test/targets/encode/**"],
          ...onDatabase,
        },
      },
      {
        test: {
          name: "oracle",
          include: ["test/targets/property/**/*.test.ts"],
          ...onDatabase,
          env: { ORACLE_CASES: process.env["ORACLE_CASES"] ?? "2500" },
        },
      },
      {
        test: {
          name: "faults",
          include: ["test/faults/**/*.test.ts"],
          ...onDatabase,
          testTimeout: 120_000,
          globalSetup: [...onDatabase.globalSetup, "test/support/moto-server.ts"],
        },
      },
      {
        test: {
          name: "pooler",
          include: ["test/pooler/**/*.test.ts"],
          ...onDatabase,
        },
      },
      {
        test: {
          name: "versions",
          include: ["test/versions/**/*.test.ts"],
          ...onDatabase,
          globalSetup: [...onDatabase.globalSetup, "test/support/moto-server.ts"],
        },
      },
      {
        test: {
          name: "soak",
          include: ["test/soak/**/*.test.ts"],
          ...onDatabase,
          globalSetup: [...onDatabase.globalSetup, "test/support/moto-server.ts"],
        },
      },
      {
        test: {
          ...patience,
          name: "deploy",
          include: ["test/deploy/**/*.test.ts"],
          globalSetup: ["test/deploy/global-setup.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...patience,
          name: "interpreter",
          include: ["test/interpreter/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          ...patience,
          name: "infra",
          include: ["test/infra/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
