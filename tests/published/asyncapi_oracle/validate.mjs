// Prints what AsyncAPI's own parser says of each document named on the command line, as one JSON list.
import { Parser, fromFile } from "@asyncapi/parser";

const said = [];
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  said.push({
    faults: diagnostics.map(({ code, path }) => ({ code, path })),
    operations: document ? document.operations().all().map((each) => each.id()).sort() : null,
    messages: document ? [...new Set(document.allMessages().all().map((each) => each.id()))].sort() : null,
  });
}
process.stdout.write(JSON.stringify(said));
