#!/usr/bin/env node
/**
 * The one entry behind `npm run setup`, `npm test`, `npm run up` and `npm run bench`: makes the
 * machine ready, then runs a TypeScript file on the Node that this project pins.
 *
 *   node bin/bootstrap.mjs [--quiet] [--tests] [-- FILE.ts [ARGUMENT]...]
 *
 * With --tests also for tests and benchmarks, which need more Debian packages.
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
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installModules, modulesReady } from './bootstrap-modules.mjs'
import {
  EXIT,
  Explained,
  endLike,
  pathExists,
  readOrEmpty,
  runInherited,
  say,
} from './bootstrap-process.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const setupStamp = join(root, 'build', 'setup.json')
const pinnedNode = join(root, 'bin', 'node')

const NODE_MAJOR_MIN = 18
const LOCK_WAIT_SECONDS = 1_800
/** `flock --conflict-exit-code`: the lock is held. No step of set-up exits with it. */
const LOCK_HELD = 99

/** @typedef {import('./bootstrap-process.mjs').Ended} Ended */
/** @typedef {{ quiet: boolean, tests: boolean, locked: boolean, script: string[] }} Request */

const FLAGS = ['--quiet', '--tests', '--locked']

/** @param {string[]} given @returns {Request} */
function parseArguments(given) {
  const split = given.indexOf('--')
  const own = split < 0 ? given : given.slice(0, split)
  const script = split < 0 ? [] : given.slice(split + 1)
  for (const argument of own) {
    if (FLAGS.includes(argument)) continue
    throw new Explained(EXIT.usage, [
      `error: unknown argument (${argument})`,
      'fix: node bin/bootstrap.mjs [--quiet] [--tests] [-- FILE.ts [ARGUMENT]...]',
    ])
  }
  const [quiet, tests, locked] = FLAGS.map((flag) => own.includes(flag))
  return { quiet: quiet === true, tests: tests === true, locked: locked === true, script }
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

/** The source code that decides what set-up does, and what it builds. A change makes set-up look again. */
function setupKey() {
  const hash = createHash('sha256')
  const folders = [join(root, 'src', 'setup'), join(root, 'native')]
  for (const file of folders.flatMap(listSources).sort()) {
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0')
  }
  return hash.digest('hex')
}

/** @param {string} folder @returns {string[]} */
function listSources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'doctor' ? [] : listSources(path)
    return /\.(ts|json|[ch]|config)$/.test(entry.name) && !entry.name.endsWith('.test.ts')
      ? [path]
      : []
  })
}

/**
 * True when `build/setup.json` was written by this source code and every path in it still exists.
 * src/setup/stamp.ts writes it; change both together.
 *
 * @param {string} key @param {boolean} tests
 */
function setupReady(key, tests) {
  const text = readOrEmpty(setupStamp)
  if (text === '') return false
  try {
    /** @type {{ key: string, tests: boolean, paths: string[] }} */
    const stamp = JSON.parse(text)
    return stamp.key === key && (stamp.tests || !tests) && stamp.paths.every(pathExists)
  } catch {
    return false // not ours, or cut short: set-up writes a new one
  }
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
  if (request.tests) again.push('--tests')
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

/** The slow path itself, run by `setUpUnderLock` in a process of its own. @param {Request} request */
async function setUp({ quiet, tests }) {
  await installModules(root, tests)
  const args = ['--no-warnings', join(root, 'src', 'setup', 'main.ts'), setupKey()]
  if (quiet) args.push('--quiet')
  if (tests) args.push('--tests')
  return runInherited(pinnedNode, args)
}

/** @param {Ended} ended */
const succeeded = ({ exitCode }) => exitCode === 0

/** @param {Request} request */
async function main(request) {
  checkPlatform()
  if (request.locked) return endLike(await setUp(request))
  const startedMs = performance.now()
  const ready = modulesReady(root) && setupReady(setupKey(), request.tests)
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
