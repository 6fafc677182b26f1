#!/usr/bin/env node
/**
 * The one entry behind `npm run setup`, `npm test`, `npm run up` and `npm run bench`: makes the
 * machine ready, then runs a TypeScript file on the Node that this project pins.
 *
 *   node bin/bootstrap.mjs [--quiet] [-- FILE.ts [ARGUMENT]...]
 *
 * Plain JavaScript, because it runs on whatever Node the system has (18 or newer) before any npm
 * package is there. It checks the platform, then compares two stamps: `node_modules/.godwit-stamp`
 * (this lock file was installed to its end) and `build/setup.json` (set-up by this source code
 * ended well, and these files were there). When both hold, no work is left and FILE starts at once.
 * Otherwise the slow path runs under a lock that the kernel releases when its holder dies, so that
 * two starts at once, or a `kill -9` in the middle, end in the same state.
 *
 * Exit codes: FILE's own, signals included; 69 (EX_UNAVAILABLE) when this platform is not
 * supported or a tool is missing, 75 (EX_TEMPFAIL) when another set-up held the lock for too long,
 * 77 (EX_NOPERM) when root is needed, 64 (EX_USAGE) for a bad argument, 1 for a failed step.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants as fsConstants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modulesStamp = join(root, 'node_modules', '.godwit-stamp')
const setupStamp = join(root, 'build', 'setup.json')
const pinnedNode = join(root, 'bin', 'node')

const NODE_MAJOR_MIN = 18
const LOCK_WAIT_SECONDS = 1_800
const NPM_DEADLINE_MS = 900_000
const OUTPUT_CHARS_MAX = 1 << 20
const APT_LOCK_SECONDS = 600
const EXIT = { usage: 64, unavailable: 69, temporary: 75, noPermission: 77 }
/**
 * Libraries that Node is linked with, and Debian's packages of them.
 *
 * @type {Record<string, string | undefined>}
 */
const NODE_LIBRARIES = { 'libatomic.so.1': 'libatomic1', 'libstdc++.so.6': 'libstdc++6' }
/** `flock --conflict-exit-code`: the lock is held. No step of set-up exits with it. */
const LOCK_HELD = 99

/** @typedef {{ quiet: boolean, locked: boolean, script: string[] }} Request */

/** A failure that was explained to the user: only the exit code is left to act on. */
class Explained extends Error {
  /** @param {number} exitCode @param {string[]} lines */
  constructor(exitCode, lines) {
    super(lines.join('\n'))
    this.exitCode = exitCode
  }
}

/** @param {string[]} given @returns {Request} */
function parseArguments(given) {
  const split = given.indexOf('--')
  const own = split < 0 ? given : given.slice(0, split)
  const script = split < 0 ? [] : given.slice(split + 1)
  for (const argument of own) {
    if (argument === '--quiet' || argument === '--locked') continue
    throw new Explained(EXIT.usage, [
      `error: unknown argument (${argument})`,
      'fix: node bin/bootstrap.mjs [--quiet] [-- FILE.ts [ARGUMENT]...]',
    ])
  }
  return { quiet: own.includes('--quiet'), locked: own.includes('--locked'), script }
}

function checkPlatform() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NODE_MAJOR_MIN) {
    throw new Explained(EXIT.unavailable, [
      `error: this Node is too old (version=${process.versions.node}, needed=${NODE_MAJOR_MIN})`,
      'fix: apt-get install nodejs npm, on Debian 12 or newer; the rest is set up by itself',
    ])
  }
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new Explained(EXIT.unavailable, [
      `error: godwit runs on Linux on x86_64 and aarch64 (found=${process.platform} ${process.arch})`,
      'fix: use a Linux machine or virtual machine of one of these; Debian 12 is what we test on',
    ])
  }
}

/** What node_modules must match, byte for byte. */
function modulesKey() {
  const hash = createHash('sha256')
  hash.update(`${process.arch}\n`)
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    hash.update(readFileSync(join(root, name)))
  }
  return hash.digest('hex')
}

/** @param {string} key */
function modulesReady(key) {
  return readOrEmpty(modulesStamp) === key
}

/** The source code that decides what set-up does. Any change of it makes set-up look again. */
function setupKey() {
  const hash = createHash('sha256')
  for (const file of listSources(join(root, 'src', 'setup')).sort()) {
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0')
  }
  return hash.digest('hex')
}

/** @param {string} folder @returns {string[]} */
function listSources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'doctor' ? [] : listSources(path)
    return /\.(ts|json)$/.test(entry.name) && !entry.name.endsWith('.test.ts') ? [path] : []
  })
}

/**
 * True when `build/setup.json` was written by this source code and every path in it still exists.
 * src/setup/stamp.ts writes it; change both together.
 *
 * @param {string} key
 */
function setupReady(key) {
  const text = readOrEmpty(setupStamp)
  if (text === '') return false
  try {
    /** @type {{ key: string, paths: string[] }} */
    const stamp = JSON.parse(text)
    return stamp.key === key && stamp.paths.every(pathExists)
  } catch {
    return false // not ours, or cut short: set-up writes a new one
  }
}

/** @param {string} path */
function pathExists(path) {
  try {
    accessSync(path, fsConstants.F_OK)
    return true
  } catch {
    return false
  }
}

/** @param {string} path */
function readOrEmpty(path) {
  return pathExists(path) ? readFileSync(path, 'utf8') : ''
}

/** @param {string} text */
const say = (text) => process.stderr.write(`set-up: ${text}\n`)

/** @param {number} startedMs */
const secondsSince = (startedMs) => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`

/**
 * `npm ci`, unless node_modules is what the lock file says. npm empties node_modules first and the
 * stamp is written last, so a run that was cut short leaves no stamp and is done again.
 */
async function installModules() {
  const key = modulesKey()
  if (modulesReady(key)) return
  const startedMs = performance.now()
  say('installing the npm packages and the pinned Node (package-lock.json) ...')
  rmSync(modulesStamp, { force: true })
  const result = await runQuietly('npm', [
    ...['ci', '--loglevel=error', '--no-progress', '--no-fund', '--no-audit'],
    ...['--include=dev', '--include=optional'],
  ])
  if (result.exitCode !== 0) {
    throw new Explained(1, [
      result.output.trimEnd(),
      `error: npm could not install the packages (exitCode=${result.exitCode})`,
      'fix: check that npm reaches its registry (npm ping), then run the same command again',
    ])
  }
  const version = await startPinnedNode()
  writeFileSync(`${modulesStamp}.new`, key)
  renameSync(`${modulesStamp}.new`, modulesStamp)
  say(`npm packages ready, Node ${version} (${secondsSince(startedMs)})`)
}

/**
 * Starts the pinned Node for the first time, and installs the one library that it needs beyond
 * a bare Debian. All other packages are the business of src/setup, which runs on that Node.
 *
 * @returns {Promise<string>} its version
 */
async function startPinnedNode() {
  let probe = await runQuietly(pinnedNode, ['--version'])
  const library = /loading shared libraries: (\S+):/.exec(probe.output)?.[1] ?? ''
  const name = NODE_LIBRARIES[library]
  if (name !== undefined) {
    if (!mayInstall()) throw refuseInstall(library, name)
    const install = ['install', '--yes', '--no-install-recommends', name]
    const options = ['--option', `DPkg::Lock::Timeout=${APT_LOCK_SECONDS}`]
    say(`installing ${name}, which the pinned Node needs ...`)
    const first = await runQuietly('apt-get', [...install, ...options])
    if (first.exitCode !== 0) {
      await runQuietly('apt-get', ['update', ...options]) // its failure shows in the next one
      const second = await runQuietly('apt-get', [...install, ...options])
      if (second.exitCode !== 0) process.stderr.write(second.output)
    }
    probe = await runQuietly(pinnedNode, ['--version'])
  }
  if (probe.exitCode === 0) return probe.output.trim()
  throw new Explained(EXIT.unavailable, [
    probe.output.trimEnd(),
    `error: the pinned Node does not start (exitCode=${probe.exitCode})`,
    'fix: it needs glibc 2.28 or newer and the libraries named above; musl is not supported',
  ])
}

function mayInstall() {
  return process.getuid?.() === 0 && findCommand('apt-get') !== undefined
}

/**
 * Names all missing packages at once, so that one command is enough for a user without root.
 *
 * @param {string} library @param {string} name
 */
function refuseInstall(library, name) {
  /** @type {{ name: string, proof: string, why: string, architecture?: string }[]} */
  const listed = JSON.parse(readFileSync(join(root, 'src', 'setup', 'packages.json'), 'utf8'))
  const architecture = process.arch === 'x64' ? 'x86_64' : 'aarch64'
  const missing = listed
    .filter((one) => (one.architecture ?? architecture) === architecture)
    .filter(({ proof }) => !(proof.startsWith('/') ? pathExists(proof) : findCommand(proof)))
  missing.unshift({ name, proof: library, why: 'a library of the pinned Node' })
  const apt = findCommand('apt-get') !== undefined
  return new Explained(apt ? EXIT.noPermission : EXIT.unavailable, [
    apt
      ? `error: packages are missing, and only root may install them (missing=${missing.length})`
      : `error: packages are missing, and there is no apt to install them (missing=${missing.length})`,
    'fix: run the command below, or install what these packages hold, then the same as before:',
    ...missing.map((one) => `  ${one.name.padEnd(16)} ${one.why}`),
    `  sudo apt-get install --no-install-recommends ${missing.map((one) => one.name).join(' ')}`,
  ])
}

/** The same search as in src/setup/packages.ts. @param {string} command */
function findCommand(command) {
  const folders = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`
  return folders
    .split(':')
    .filter(Boolean)
    .map((folder) => join(folder, command))
    .find(pathExists)
}

/**
 * Runs a command of which the user sees nothing while it works.
 *
 * @param {string} command @param {string[]} args
 * @returns {Promise<{ exitCode: number, output: string }>}
 */
function runQuietly(command, args) {
  return new Promise((resolve) => {
    /** @type {['ignore', 'pipe', 'pipe']} */
    const stdio = ['ignore', 'pipe', 'pipe']
    const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
    const child = spawn(command, args, { cwd: root, env, stdio, timeout: NPM_DEADLINE_MS })
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

/**
 * Does the work under the lock. A start that finds the lock held waits for the other set-up and
 * then finds little or nothing left to do.
 *
 * @param {Request} request
 */
async function setUpUnderLock(request) {
  mkdirSync(join(root, 'build'), { recursive: true })
  const again = [process.execPath, fileURLToPath(import.meta.url), '--locked']
  if (request.quiet) again.push('--quiet')
  // --no-fork: flock becomes our process, so that signals reach it; the lock stays open with it.
  const lock = [
    '--no-fork',
    '--conflict-exit-code',
    String(LOCK_HELD),
    join(root, 'build', 'setup.lock'),
  ]
  let ended = await runInherited('flock', ['--nonblock', ...lock, ...again])
  if (ended.exitCode === LOCK_HELD) {
    say('another set-up of this checkout is running, waiting for it ...')
    ended = await runInherited('flock', ['--wait', String(LOCK_WAIT_SECONDS), ...lock, ...again])
  }
  if (ended.exitCode === LOCK_HELD) {
    throw new Explained(EXIT.temporary, [
      `error: another set-up of this checkout did not end (waitedSeconds=${LOCK_WAIT_SECONDS})`,
      'fix: look for it with: fuser -v build/setup.lock',
    ])
  }
  return ended
}

/** The slow path itself, run by `setUpUnderLock` in a process of its own. */
async function setUp() {
  await installModules()
  const args = ['--no-warnings', join(root, 'src', 'setup', 'main.ts'), setupKey()]
  return runInherited(pinnedNode, args)
}

/** @typedef {{ exitCode: number | null, signal: NodeJS.Signals | null }} Ended */

/**
 * Runs a command on our own terminal. Signals pass to it: those of a terminal reach the whole
 * foreground group by themselves, so they are only kept from ending us before the command ends.
 *
 * @param {string} command @param {string[]} args
 * @returns {Promise<Ended>}
 */
function runInherited(command, args) {
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
function endLike({ exitCode, signal }) {
  if (signal === null) {
    process.exitCode = exitCode ?? 1
    return
  }
  process.exitCode = 128 + constants.signals[signal] // should the signal be ignored
  process.kill(process.pid, signal)
}

/** @param {Ended} ended */
const succeeded = ({ exitCode }) => exitCode === 0

/** @param {Request} request */
async function main(request) {
  checkPlatform()
  if (request.locked) return endLike(await setUp())
  const startedMs = performance.now()
  const ready = modulesReady(modulesKey()) && setupReady(setupKey())
  if (!ready) {
    const ended = await setUpUnderLock(request)
    if (!succeeded(ended)) return endLike(ended)
  } else if (!request.quiet) {
    say(`ready, nothing to do (${((performance.now() - startedMs) / 1000).toFixed(2)} s)`)
  }
  const [file, ...rest] = request.script
  if (file !== undefined) endLike(await runInherited(pinnedNode, [join(root, file), ...rest]))
}

try {
  await main(parseArguments(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof Explained)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
