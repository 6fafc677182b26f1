import { Command } from 'commander'

type Print = (text: string) => void

/** `godwit version`. */
export const versionCommand = (
  version: string,
  print: Print = (text) => void process.stdout.write(text),
): Command =>
  new Command('version')
    .summary('which godwit this is')
    .description('Prints which godwit this is, and the Node.js that it runs on.')
    .option('-j, --json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ godwit version')
    .action(({ json }: { json?: boolean }) => {
      const facts = { version, node: process.versions.node, arch: process.arch }
      print(
        json
          ? `${JSON.stringify(facts)}\n`
          : `godwit ${version} (Node.js ${facts.node}, ${facts.arch})\n`,
      )
    })
