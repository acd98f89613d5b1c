import {
  type ControlFacts,
  type DatabaseDoctor,
  type DoctorSettings,
  type Finding,
  type FindingCode,
  faultFinding,
  finding,
  oneFinding,
  type ServerFacts,
  type Verdict,
} from "../../core/doctor.ts";
import { plainTransactionSeconds } from "../../core/durations.ts";
import { checksOf, fixOf, once, type PlannedCheck } from "./run-checks.ts";

/** Checks of the server, the login and the control tables. */

export function databaseChecks(database: DatabaseDoctor, settings: DoctorSettings): PlannedCheck[] {
  const facts = once(() => database.server());
  const { host, port, name, user } = settings.database;
  const where = `${host}:${port}/${name} as ${user}`;
  const check = (title: string, look: (facts: ServerFacts) => Verdict): PlannedCheck => ({
    area: "database",
    name: title,
    run: async () => look(await facts()),
  });
  return [
    {
      ...check("login", (server) => checkLogin(where, server, settings)),
      gate: (fault) => {
        const what = "the database cannot be used";
        return faultFinding(fault, { what, where, expected: "a login", fix: fixOf(fault.code) });
      },
    },
    check("server", checkServer),
    check("connections", (server) => checkConnections(server, settings)),
    check("clock", checkClock),
    check("server log", ({ parameters }) => checkServerLog(parameters)),
    check("time limits", ({ parameters }) => checkTimeLimits(parameters)),
    check("sessions", checkSessions),
  ];
}

const loopback = /^(localhost|127\.|::1$)/;

function checkLogin(where: string, { role, encrypted }: ServerFacts, { database }: DoctorSettings): Verdict {
  const tls = encrypted ? "TLS, certificate verified" : "without TLS";
  const said = `${where}, logged in as ${role}, ${tls}`;
  if (encrypted || loopback.test(database.host)) return { said, findings: [] };
  const fix = "set DB_TLS to verify";
  return { said, findings: [finding("TLS_OFF", { where: "DB_TLS", got: "off", expected: "verify", fix })] };
}

const oldestMajor = 16;

function checkServer({ version, readOnly }: ServerFacts): Verdict {
  const findings: Finding[] = [];
  if (Number.parseInt(version, 10) < oldestMajor) {
    const expected = `PostgreSQL ${oldestMajor} or newer`;
    findings.push(finding("SERVER_OLD", { where: "server", got: version, expected, fix: "upgrade it" }));
  }
  if (readOnly !== null) {
    const fix = readOnly === "standby" ? "point DB_HOST at the writer" : `set ${readOnly} to off for the role`;
    findings.push(finding("SERVER_READ_ONLY", { where: "server", got: readOnly, expected: "a writer", fix }));
  }
  return { said: `PostgreSQL ${version}, a writer`, findings };
}

/** Share of the connections that the loader may take: people and their applications keep the rest. */
const connectionShare = 0.8;

function checkConnections({ connections }: ServerFacts, { maxWorkers, maxLoads }: DoctorSettings): Verdict {
  const wanted = maxWorkers + maxLoads;
  const shareOf = (limit: number): number => Math.floor(limit * connectionShare);
  const short = connections.filter(({ limit }) => wanted > shareOf(limit));
  const used = connections.filter((found) => found.used >= shareOf(found.limit));
  const findings = [
    ...short.map(({ of, limit }) =>
      finding("CONNECTIONS_SHORT", {
        where: of,
        got: `${limit} connections, of which the loader may ask ${wanted} (MAX_WORKERS and MAX_LOADS)`,
        expected: `at most ${shareOf(limit)} of them, ${connectionShare * 100} %`,
        fix: "raise the limit (max_connections, or that of role or database), or lower MAX_WORKERS",
      }),
    ),
    ...used.map(({ of, limit, used: open }) =>
      finding("CONNECTIONS_USED", {
        where: of,
        got: `${open} of ${limit} are in use`,
        expected: `fewer than ${shareOf(limit)}`,
        fix: "see who holds them: select usename, application_name, state from pg_stat_activity",
      }),
    ),
  ];
  const said = connections.map(({ of, limit, used: open }) => `${open} of ${limit} of ${of} in use`).join(", ");
  return { said: `${said}; the loader takes up to ${wanted}`, findings };
}

/** Harmless skew: AWS bears five minutes in signatures, and leases and approvals go by the database's clock alone. */
const mostSkewSeconds = 5;

function checkClock({ clockAhead }: ServerFacts): Verdict {
  const seconds = Math.abs(clockAhead) / 1000;
  const said = `${seconds.toFixed(1)} s ${clockAhead < 0 ? "behind" : "ahead of"} the loader's`;
  if (seconds <= mostSkewSeconds) return { said, findings: [] };
  const fix = "let both hosts take their time from the same source (NTP)";
  const expected = `at most ${mostSkewSeconds} s`;
  return oneFinding("CLOCK_SKEW", { where: "the server's clock", got: said, expected, fix });
}

const longestPlain = plainTransactionSeconds * 1000;

function checkTimeLimits(parameters: ServerFacts["parameters"]): Verdict {
  const short = ["statement_timeout", "transaction_timeout"].filter((name) => {
    const milliseconds = Number(parameters[name] ?? 0);
    return milliseconds > 0 && milliseconds < longestPlain;
  });
  return {
    said: "the loader's own limits hold",
    findings: short.map((name) =>
      finding("TIMEOUT_SHORT", {
        where: `parameter ${name}`,
        got: `${parameters[name]} ms`,
        expected: `0, or at least ${longestPlain} ms`,
        fix: `alter role ... set ${name} = 0 for the loader's role; it sets limits of its own`,
      }),
    ),
  };
}

function checkSessions({ stuckSessions }: ServerFacts): Verdict {
  if (stuckSessions.length === 0) return { said: "none of this role is stuck", findings: [] };
  const got = `processes ${stuckSessions.join(", ")}, idle in a transaction for more than a minute`;
  const fix = `look at them in pg_stat_activity; select pg_terminate_backend(${stuckSessions[0]})`;
  return oneFinding("SESSION_STUCK", { where: "sessions of the role", got, expected: "none", fix });
}

const migrate = "run the migrations: deploy, or invoke the function migrate";

export function controlChecks(database: DatabaseDoctor): PlannedCheck[] {
  return checksOf("control tables", () => database.control(), {
    migrations: checkMigrations,
    tables: checkTables,
    columns: checkColumns,
  });
}

function checkMigrations({ pendingMigrations }: ControlFacts): Verdict {
  const names = pendingMigrations.map((name) => `migration ${name}`);
  return {
    said: "all done",
    findings: listed("MIGRATION_PENDING", names, { expected: "done", got: "not run", fix: migrate }),
  };
}

function checkTables({ missingRelations }: ControlFacts): Verdict {
  const fix = `${migrate}; where one was dropped, restore it from a backup`;
  const rest = { expected: "a table or view", got: "none", fix };
  return { said: "all there", findings: listed("CONTROL_TABLE_MISSING", missingRelations, rest) };
}

function checkColumns({ missingColumns, requiredColumns }: ControlFacts): Verdict {
  const add = "add it, see docs/reference/control-tables.md for its type";
  const missing = listed("CONTROL_COLUMN_MISSING", missingColumns, { expected: "a column", got: "none", fix: add });
  const required = listed("CONTROL_COLUMN_REQUIRED", requiredColumns, {
    expected: "null allowed, or a default",
    got: "not null without a default",
    fix: "give it a default, or drop its not null",
  });
  return { said: "all there", findings: [...missing, ...required] };
}

/** A finding for every name. */
function listed(
  code: FindingCode,
  names: readonly string[],
  rest: Pick<Finding, "got" | "expected" | "fix">,
): Finding[] {
  return names.map((where) => finding(code, { where, ...rest }));
}

type Parameters = ServerFacts["parameters"];

/** Finds parameters that write values of records into the server's log: docs/deploy.md, "What the server logs". */
function checkServerLog(parameters: Parameters): Verdict {
  const findings = [...errorDetails(parameters), ...failedParameters(parameters), ...loggedParameters(parameters)];
  return { said: "keeps no values of records", findings: [...findings, ...explainedParameters(parameters)] };
}

const fatalOnly = ["fatal", "panic"];

function errorDetails({ log_error_verbosity: verbosity, ...others }: Parameters): Finding[] {
  const silent = [others.log_min_messages, others.log_min_error_statement].every((level) =>
    fatalOnly.includes(level ?? ""),
  );
  if (verbosity === undefined || verbosity === "terse" || silent) return [];
  return [setting("log_error_verbosity", verbosity, "terse")];
}

function failedParameters({ log_parameter_max_length_on_error: length = "0" }: Parameters): Finding[] {
  return length === "0" ? [] : [setting("log_parameter_max_length_on_error", length, "0")];
}

const isOn = (milliseconds: string | undefined): boolean => Number(milliseconds ?? -1) >= 0;

/** Finds statements logged with their parameters, which are the values of records. */
function loggedParameters(parameters: Parameters): Finding[] {
  const { log_statement: statements = "none", log_parameter_max_length: length = "0" } = parameters;
  const logs =
    ["mod", "all"].includes(statements) ||
    isOn(parameters.log_min_duration_statement) ||
    isOn(parameters.log_min_duration_sample);
  return logs && length !== "0" ? [setting("log_parameter_max_length", length, "0")] : [];
}

function explainedParameters(parameters: Parameters): Finding[] {
  const length = parameters["auto_explain.log_parameter_max_length"] ?? "0";
  if (length === "0" || !isOn(parameters["auto_explain.log_min_duration"])) return [];
  return [setting("auto_explain.log_parameter_max_length", length, "0")];
}

function setting(name: string, got: string, expected: string): Finding {
  const fix = `set it in postgresql.conf or the parameter group: ${name} = ${expected}; see docs/deploy.md`;
  return finding("LOG_VALUES", { where: `parameter ${name}`, got, expected, fix });
}
