import { existsSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { Command, Option } from 'commander'
import type { FlapsClient } from '#flaps-client'
import { terminalSize } from '../attached-terminal.ts'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { connect, type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { sftpCommand } from './sftp.ts'
import { SSH_PORT, type SshOptions, withSsh, withSshClient } from './ssh-connection.ts'

const DISCONNECTED = 255

/** `godwit ssh`: into machines, wherever they are. */
export function sshCommand(print: Print = printOut): Command {
  return new Command('ssh')
    .summary("a shell, a command or files in an app's machines")
    .description(
      "A shell, a command or files in an app's machines, wherever they are. Each connection gets a certificate of its own, which lasts an hour.",
    )
    .addCommand(consoleCommand(), { isDefault: true })
    .addCommand(sftpCommand(print))
    .addCommand(issueCommand(print))
    .addCommand(stdioCommand())
}

export interface ConsoleOptions extends SshOptions {
  readonly command?: string
  readonly pty?: boolean
  readonly quiet?: boolean
}

function consoleCommand(): Command {
  return withSsh(
    appCommand('console', 'a shell in a machine, or a command', [
      'ssh console -a web',
      'ssh console -a web -r nrt',
      "ssh console -a web --machine 148ed599c14189 -C 'cat /etc/hosts'",
      'tar c data | godwit ssh console -a web -C "tar x -C /srv"',
    ]),
  )
    .option('-C, --command <line>', 'run this instead of a shell; its exit code is ours')
    .option('--pty', 'give the command a terminal')
    .option('-q, --quiet', 'say nothing of our own')
    .action((options: ConsoleOptions) =>
      withSshClient(options, (client, machine) => openConsole(client, machine, options)),
    )
}

/** A shell, or a command, on this terminal; its exit code becomes ours. */
export async function openConsole(
  client: import('#ssh').SshClient,
  machine: { readonly id: string },
  { command, pty: isPty, quiet, user }: ConsoleOptions,
): Promise<void> {
  const wantsPty = command === undefined || isPty === true
  const size = wantsPty ? terminalSize() : undefined
  if (!quiet && size !== undefined) {
    process.stderr.write(`Connected to ${machine.id} as ${user}\n`)
  }
  const term = process.env['TERM'] ?? 'xterm'
  const pty = size && { term, ...size }
  const channel = await client.open(command, { ...(pty && { pty }) })
  process.exitCode = await joinTerminal(channel, size !== undefined)
}

/** Our streams are the channel's until it ends. @returns its exit code, as shells have it */
async function joinTerminal(
  channel: import('ssh2').ClientChannel,
  isTty: boolean,
): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  let code = DISCONNECTED
  channel.on('exit', (status: number | null, signal?: string) => {
    const number = constants.signals[`SIG${signal}` as NodeJS.Signals] ?? 0
    code = status ?? 128 + number
  })
  channel.once('close', () => resolve(code))
  const onResize = () => {
    const { columns, rows } = terminalSize() ?? { columns: 80, rows: 24 }
    channel.setWindow(rows, columns, 0, 0)
  }
  if (isTty) {
    process.stdin.setRawMode(true)
    process.stdout.on('resize', onResize)
  }
  process.stdin.pipe(channel)
  channel.pipe(process.stdout, { end: false })
  channel.stderr.pipe(process.stderr, { end: false })
  try {
    return await promise
  } finally {
    process.stdout.off('resize', onResize)
    if (isTty) process.stdin.setRawMode(false)
    process.stdin.unpipe(channel)
    process.stdin.destroy()
  }
}

interface IssueOptions extends AppCommandOptions {
  readonly org?: string
  readonly hours: string
  readonly username: string[]
  readonly overwrite?: boolean
}

function issueCommand(print: Print): Command {
  return appCommand('issue', 'a key and a certificate for programs that speak ssh', [
    'ssh issue -a web ./web-key',
    'ssh issue --org birds --hours 24 ./birds-key',
    "ssh -i ./web-key -o ProxyCommand='godwit ssh stdio -a web %h' root@148ed599c14189",
  ])
    .argument('<path>', 'where the key goes; the certificate beside it, as PATH-cert.pub')
    .option('-o, --org <slug>', 'for the machines of all its apps')
    .option('--hours <count>', 'how long it lasts, at most 72', '24')
    .addOption(
      new Option('-u, --username <name...>', 'users that it lets in as').default(['root', 'fly']),
    )
    .option('--overwrite', 'what is there already')
    .action((path: string, options: IssueOptions) =>
      withOwner(options, async (client, owner) => {
        const certificateFile = `${path}-cert.pub`
        refuseExisting([path, certificateFile], options)
        const { Ed25519Key } = await import('#ssh')
        const key = Ed25519Key.generate()
        const { certificate, expires_at } = await client.issueSshCertificate(owner, {
          public_key: key.publicLine(),
          principals: options.username,
          valid_hours: Number(options.hours),
        })
        writeFileSync(path, key.privatePem('godwit'), { mode: 0o600 })
        writeFileSync(`${path}.pub`, `${key.publicLine('godwit')}\n`, { mode: 0o644 })
        writeFileSync(certificateFile, `${certificate}\n`, { mode: 0o644 })
        const told = { key: path, certificate: certificateFile, expires_at }
        if (options.json) return print(`${JSON.stringify(told)}\n`)
        const of = 'app' in owner ? owner.app : 'APP'
        const proxy = `-o ProxyCommand='godwit ssh stdio -a ${of} %h'`
        print(`${path} and ${certificateFile}, good until ${expires_at}\n`)
        print(`next: ssh -i ${path} ${proxy} ${options.username[0] ?? 'root'}@MACHINE\n`)
      }),
    )
}

type Owner = { readonly app: string } | { readonly org: string }

async function withOwner(
  options: IssueOptions,
  work: (client: FlapsClient, owner: Owner) => Promise<void>,
): Promise<void> {
  const { org } = options
  if (org === undefined) {
    return await withApp(options, ({ client, app }: AppSession) => work(client, { app }))
  }
  using client = await connect(options)
  await work(client, { org })
}

/** @throws ApiInputError cli.bad_value */
function refuseExisting(files: readonly string[], { overwrite }: IssueOptions): void {
  const found = files.find((file) => existsSync(file))
  if (found === undefined || overwrite) return
  throw new ApiInputError('cli.bad_value', {
    what: 'there is a file by this name',
    values: { file: found },
    fix: 'give another path, or --overwrite',
  })
}

function stdioCommand(): Command {
  return appCommand('stdio', 'the ssh protocol of a machine on standard input and output', [
    "ssh -i ./web-key -o ProxyCommand='godwit ssh stdio -a web %h' root@148ed599c14189",
  ])
    .argument('<machine>', 'id of the machine')
    .action((machine: string, options: AppCommandOptions) =>
      withApp(options, async ({ client, app }) => {
        const stream = await client.connect(app, machine, SSH_PORT)
        const { promise, resolve } = Promise.withResolvers<void>()
        stream.once('close', resolve)
        stream.on('error', () => stream.destroy())
        process.stdin.pipe(stream).pipe(process.stdout)
        await promise
        process.stdin.destroy()
      }),
    )
}
