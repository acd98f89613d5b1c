import { ContextError } from "../lib/infra/context.ts";
import { tableLoaderApp } from "../lib/infra/loader-app.ts";

try {
  tableLoaderApp().synth();
} catch (error) {
  if (!(error instanceof ContextError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
