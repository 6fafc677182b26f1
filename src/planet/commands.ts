import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { pollUntil } from '#base'
import { identify, isAlive, type ProcessIdentity, signalPid } from '#supervise'
import { PlanetError } from './errors.ts'
import { listFolder, readJson, writeJson } from './folders.ts'
import type { CommandLine, PlanetNode } from './node.ts'

const STOP_GRACE_MS = 5_000
const KILL_DEADLINE_MS = 5_000

/** A command that runs in the background of a node, under a name. */
export interface CommandRecord extends CommandLine {
  readonly name: string
  /** Leads the command's process group; ends when the command does. */
  readonly leader: ProcessIdentity
}

/**
 * Starts a command in the background of a node. It outlives the caller, and ends with `stopCommand`
 * or with the node. Its output goes to `commandLog`.
 *
 * @throws PlanetError planet.command_exists, planet.node_down
 */
export async function startCommand(
  node: PlanetNode,
  name: string,
  line: CommandLine,
  env: Readonly<Record<string, string>> = {},
  /** File descriptors that it gets as 3, 4, ... */
  handedOver: readonly number[] = [],
): Promise<CommandRecord> {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    throw new PlanetError('planet.name_bad', {
      what: 'not a name for a command',
      values: { name },
      fix: "use lower-case letters, digits, '.', '_' and '-', at most 64",
    })
  }
  if (findCommand(node, name) !== undefined) {
    throw new PlanetError('planet.command_exists', {
      what: 'a command of that name runs already',
      values: { node: node.name, name },
      fix: `stop it first: godwit planet stop ${node.name} ${name}`,
    })
  }
  const entered = node.enter(line)
  const log = openSync(commandLog(node, name), 'a')
  let child: ChildProcess
  try {
    child = spawn(entered.command, entered.args, {
      detached: true,
      stdio: ['ignore', log, log, ...handedOver],
      env: { ...process.env, ...node.environment, ...env },
    })
  } finally {
    closeSync(log)
  }
  child.unref()
  const leader = child.pid === undefined ? undefined : identify(child.pid)
  if (leader === undefined) {
    throw new PlanetError('planet.system', {
      what: 'a command did not start',
      values: { node: node.name, command: line.command },
    })
  }
  const record: CommandRecord = { name, leader, ...line }
  writeJson(recordFile(node, name), record)
  return record
}

/**
 * SIGTERM to the command's process group, SIGKILL after a grace time. Returns when all are gone.
 *
 * @throws PlanetError planet.command_unknown when nothing of that name runs.
 */
export async function stopCommand(
  node: PlanetNode,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  const record = findCommand(node, name)
  if (record === undefined) {
    const running = listCommands(node).map((command) => command.name)
    throw new PlanetError('planet.command_unknown', {
      what: 'no command of that name runs',
      values: { node: node.name, name, running },
    })
  }
  const group = -record.leader.pid
  const isGone = () => !signalPid(group, 'SIGCONT') // says whether a member is left, and wakes it
  signalPid(group, 'SIGTERM')
  try {
    await pollUntil(`the end of ${name}`, isGone, { deadlineMs: STOP_GRACE_MS, signal })
  } catch {
    signal?.throwIfAborted()
    signalPid(group, 'SIGKILL')
    await pollUntil(`the end of ${name}`, isGone, { deadlineMs: KILL_DEADLINE_MS, signal })
  }
  rmSync(recordFile(node, name), { force: true })
}

/** Commands of a node that still run. */
export function listCommands(node: PlanetNode): CommandRecord[] {
  return listFolder(node.runPath('commands'))
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => findCommand(node, file.slice(0, -'.json'.length)) ?? [])
}

/** Standard output and standard error of a command, from its first start on. */
export const commandLog = (node: PlanetNode, name: string) =>
  node.runPath('commands', `${name}.log`)

const recordFile = (node: PlanetNode, name: string) => node.runPath('commands', `${name}.json`)

function findCommand(node: PlanetNode, name: string): CommandRecord | undefined {
  const file = recordFile(node, name)
  if (!existsSync(file)) return undefined
  const record = readJson<CommandRecord>(file)
  return record !== undefined && isAlive(record.leader) ? record : undefined
}
