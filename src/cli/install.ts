import { execFile } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { InstallError } from './install-error.ts'

type Print = (text: string) => void
export type Systemctl = (...words: string[]) => Promise<void>

interface InstallOptions {
  readonly config: string
  readonly unitFolder: string
  readonly start: boolean
  readonly remove?: boolean
  readonly json?: boolean
}

/** Of this installation. */
export const GODWIT = resolve(import.meta.dirname, '../../bin/godwit')
const SYSTEMCTL_MS = 120_000
const run = promisify(execFile)

/** `godwit install`: the daemons of this host start with it. */
export function installCommand(
  print: Print = (text) => void process.stdout.write(text),
  systemctl: Systemctl = callSystemctl,
): Command {
  return new Command('install')
    .summary('have systemd run all daemons of this host')
    .description(
      'Writes a systemd unit that runs `godwit host run`, and starts it. Again: the unit is written anew. With ' +
        '--remove the daemons end and the unit goes; machines and data stay.',
    )
    .option('-c, --config <file>', "the host's file", '/var/lib/godwit/host.toml')
    .option('--unit-folder <folder>', 'where units are', '/etc/systemd/system')
    .option('--no-start', 'write the unit and do no more')
    .option('--remove', 'end the daemons and remove the unit')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ godwit install
  $ godwit install --no-start --unit-folder /tmp/units
  $ godwit install --remove`,
    )
    .action(async ({ config, unitFolder, start, remove, json }: InstallOptions) => {
      const { loadHostConfig, UNIT_NAME } = await import('#host')
      const unit = join(unitFolder, UNIT_NAME)
      if (remove === true) {
        const wasThere = existsSync(unit)
        if (wasThere && start) await systemctl('disable', '--now', UNIT_NAME)
        rmSync(unit, { force: true })
        if (start) await systemctl('daemon-reload')
        if (json) return print(`${JSON.stringify({ unit, removed: wasThere })}\n`)
        return print(wasThere ? `${unit} is removed\n` : `${unit} was not there\n`)
      }
      const { host } = loadHostConfig(config)
      await installUnit({ config, unitFolder, start }, systemctl)
      if (json) return print(`${JSON.stringify({ host, unit, started: start })}\n`)
      print(`${host}: ${unit} is written${start ? ', and its daemons are started' : ''}\n`)
      print(`next: ${start ? 'godwit host status' : `systemctl enable --now ${UNIT_NAME}`}\n`)
    })
}

/** @throws InstallError install.not_written, install.systemctl_failed */
export async function installUnit(
  { config, unitFolder, start }: { config: string; unitFolder: string; start: boolean },
  systemctl: Systemctl = callSystemctl,
): Promise<void> {
  const { systemdUnit, UNIT_NAME } = await import('#host')
  writeUnit(join(unitFolder, UNIT_NAME), systemdUnit(GODWIT, resolve(config)))
  if (!start) return
  await systemctl('daemon-reload')
  await systemctl('enable', UNIT_NAME)
  await systemctl('restart', UNIT_NAME)
}

function writeUnit(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o644 })
  } catch (cause) {
    throw new InstallError('install.not_written', {
      what: 'the unit cannot be written',
      values: { file },
      fix: 'run as root, on a system with systemd; --unit-folder names another folder',
      cause,
    })
  }
}

async function callSystemctl(...words: string[]): Promise<void> {
  try {
    await run('systemctl', words, { timeout: SYSTEMCTL_MS })
  } catch (cause) {
    const { stderr = '', code } = cause as { stderr?: string; code?: unknown }
    throw new InstallError('install.systemctl_failed', {
      what: 'systemctl failed',
      values: { words: words.join(' '), says: stderr.trim() || String(code) },
      fix: 'see `systemctl status godwit` and `journalctl -u godwit`; without systemd, run `godwit host run` by what starts your daemons',
      cause,
    })
  }
}
