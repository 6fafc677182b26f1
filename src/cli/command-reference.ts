import { Command } from 'commander'
import { COMMANDS } from './commands.ts'

const WIDTH = 100

/** docs/commands.md: the help of every command, as the command itself prints it. */
export async function commandReference(version: string): Promise<string> {
  const sections: string[] = []
  const program = new Command('godwit').enablePositionalOptions()
  for (const { load } of COMMANDS) {
    const command = await load(version)
    program.addCommand(command)
    describe(command, program.name(), sections)
  }
  return `# Commands

What \`godwit COMMAND --help\` says, for every command. Written by \`npm run docs\`.

${COMMANDS.map(({ names: [name], about }) => `- [godwit ${name}](#godwit-${name}): ${about}`).join('\n')}

${sections.join('\n')}`
}

function describe(command: Command, parent: string, sections: string[]): void {
  const name = `${parent} ${command.name()}`
  const depth = '#'.repeat(Math.min(name.split(' ').length, 4))
  sections.push(`${depth} ${name}\n\n\`\`\`\n${helpOf(command)}\n\`\`\`\n`)
  for (const child of command.commands) describe(child, name, sections)
}

/** With the lines after its options, which commander prints but does not put into `helpInformation`. */
function helpOf(command: Command): string {
  let printed = ''
  command.configureOutput({
    writeOut: (text) => {
      printed += text
    },
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return printed.trimEnd()
}
