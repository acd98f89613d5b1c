import { tableLoaderApp } from "../lib/infra/loader-app.ts";

tableLoaderApp().synth();
