/**
 * bootstrap's processes: what it says, what it runs, how it ends. Plain JavaScript for Node 18.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants as fsConstants, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'

/** Source: sysexits(3). */
export const EXIT = { usage: 64, unavailable: 69, temporary: 75, noPermission: 77 }
const QUIET_DEADLINE_MS = 900_000
const OUTPUT_CHARS_MAX = 1 << 20

/** A failure that was explained to the user: only the exit code is left to act on. */
export class Explained extends Error {
  /** @param {number} exitCode @param {string[]} lines */
  constructor(exitCode, lines) {
    super(lines.join('\n'))
    this.exitCode = exitCode
  }
}

/** @param {string} text */
export const say = (text) => process.stderr.write(`set-up: ${text}\n`)

/** @param {number} startedMs */
export const secondsSince = (startedMs) =>
  `${((performance.now() - startedMs) / 1000).toFixed(1)} s`

/** The same search as in src/setup/packages.ts. @param {string} command */
export function findCommand(command) {
  const folders = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`
  return folders
    .split(':')
    .filter(Boolean)
    .map((folder) => join(folder, command))
    .find(pathExists)
}

/** @param {string} path */
export function pathExists(path) {
  try {
    accessSync(path, fsConstants.F_OK)
    return true
  } catch {
    return false
  }
}

/** @param {string} path */
export function readOrEmpty(path) {
  return pathExists(path) ? readFileSync(path, 'utf8') : ''
}

/**
 * Runs a command of which the user sees nothing while it works.
 *
 * @param {string} folder its working folder @param {string} command @param {string[]} args
 * @returns {Promise<{ exitCode: number, output: string }>}
 */
export function runQuietly(folder, command, args) {
  return new Promise((resolve) => {
    /** @type {['ignore', 'pipe', 'pipe']} */
    const stdio = ['ignore', 'pipe', 'pipe']
    const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
    const child = spawn(command, args, { cwd: folder, env, stdio, timeout: QUIET_DEADLINE_MS })
    let output = ''
    /** @param {Buffer} chunk */
    const keep = (chunk) => {
      output = (output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', (error) => resolve({ exitCode: 127, output: `${output}${error.message}\n` }))
    child.on('close', (code) => resolve({ exitCode: code ?? 1, output }))
  })
}

/** @typedef {{ exitCode: number | null, signal: NodeJS.Signals | null }} Ended */

/**
 * Runs a command on our own terminal. Signals pass to it: those of a terminal reach the whole
 * foreground group by themselves, so they are only kept from ending us before the command ends.
 *
 * @param {string} command @param {string[]} args
 * @returns {Promise<Ended>}
 */
export function runInherited(command, args) {
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP']
  const fromTerminal = process.stdin.isTTY === true
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    /** @param {NodeJS.Signals} signal */
    const pass = (signal) => {
      const groupHasIt = fromTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT')
      if (!groupHasIt) child.kill(signal)
    }
    for (const signal of signals) process.on(signal, pass)
    const stop = () => {
      for (const signal of signals) process.off(signal, pass)
    }
    child.on('error', (error) => {
      stop()
      const lines = [`error: cannot start a program (program=${command}, cause=${error.message})`]
      if (command === 'flock') lines.push('fix: install util-linux, which has flock')
      reject(new Explained(EXIT.unavailable, lines))
    })
    child.on('exit', (exitCode, signal) => {
      stop()
      resolve({ exitCode, signal })
    })
  })
}

/** Ends this process the way its child ended. @param {Ended} ended */
export function endLike({ exitCode, signal }) {
  if (signal === null) {
    process.exitCode = exitCode ?? 1
    return
  }
  process.exitCode = 128 + constants.signals[signal] // should the signal be ignored
  process.kill(process.pid, signal)
}
