// Checks custom resources of the Prometheus operator, given as a JSON list on stdin: strictly by their types, so that an
// unknown field is a fault, then by the schema of their CRD. Prints one fault a line, and ends with 1 if there is any.
"use strict";
const fs = require("node:fs");
const ts = require("typescript");

const MODELS = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/";
const OPTIONS = { strict: true, noEmit: true, skipLibCheck: true, types: [], moduleResolution: ts.ModuleResolutionKind.Node10 };

function typeFaults(resource) {
  const file = `${__dirname}/${resource.kind}.ts`;
  const type = `I${resource.kind}`;
  const literal = JSON.stringify(resource, null, 1);
  fs.writeFileSync(file, `import { ${type} } from "${MODELS}${resource.kind}";\nexport const it: ${type} = ${literal};\n`);
  return ts
    .getPreEmitDiagnostics(ts.createProgram([file], OPTIONS))
    .map((fault) => ts.flattenDiagnosticMessageText(fault.messageText, " "));
}

function schemaFaults(resource) {
  try {
    const model = require(`${MODELS}${resource.kind}`)[resource.kind];
    new model(resource).validate();
    return [];
  } catch (fault) {
    return [fault.message];
  }
}

const faults = JSON.parse(fs.readFileSync(0, "utf8")).flatMap((resource) =>
  [...typeFaults(resource), ...schemaFaults(resource)].map((fault) => `${resource.kind}: ${fault}`),
);
console.log(faults.join("\n"));
process.exit(faults.length ? 1 : 0);
