import { type Finding, finding, type ServerFacts, type Verdict } from "../../core/doctor.ts";

/** docs/deploy.md, "What the server logs": which parameters write values of records into the server's log. */

type Parameters = ServerFacts["parameters"];

export function checkServerLog(parameters: Parameters): Verdict {
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

/** The values of a statement are its parameters; where statements are logged, they are. */
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
