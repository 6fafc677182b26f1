/**
 * bootstrap's first step: the npm packages and the pinned Node. Plain JavaScript for Node 18.
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  EXIT,
  Explained,
  findCommand,
  pathExists,
  readOrEmpty,
  runQuietly,
  say,
  secondsSince,
} from './bootstrap-process.mjs'

const APT_LOCK_SECONDS = 600
/**
 * Libraries that Node is linked with, and Debian's packages of them.
 *
 * @type {Record<string, string | undefined>}
 */
const NODE_LIBRARIES = { 'libatomic.so.1': 'libatomic1', 'libstdc++.so.6': 'libstdc++6' }

/** What node_modules must match, byte for byte. @param {string} root */
function modulesKey(root) {
  const hash = createHash('sha256')
  hash.update(`${process.arch}\n`)
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    hash.update(readFileSync(join(root, name)))
  }
  return hash.digest('hex')
}

/** @param {string} root */
const stampOf = (root) => join(root, 'node_modules', '.godwit-stamp')

/** `npm ci` of this very lock file ended well. @param {string} root */
export function modulesReady(root) {
  return readOrEmpty(stampOf(root)) === modulesKey(root)
}

/**
 * `npm ci`, unless node_modules is what the lock file says. npm empties node_modules first and the
 * stamp is written last, so a run that was cut short leaves no stamp and is done again. No package runs
 * a script: those of ours only look for what they ship, and would start the pinned Node before it can.
 *
 * @param {string} root @param {boolean} tests what tests need is named too, when packages are missing
 */
export async function installModules(root, tests) {
  if (modulesReady(root)) return
  const stamp = stampOf(root)
  const startedMs = performance.now()
  say('installing the npm packages and the pinned Node (package-lock.json) ...')
  rmSync(stamp, { force: true })
  const result = await runQuietly(root, 'npm', [
    ...['ci', '--loglevel=error', '--no-progress', '--no-fund', '--no-audit'],
    ...['--include=dev', '--include=optional', '--ignore-scripts'],
  ])
  if (result.exitCode !== 0) {
    throw new Explained(1, [
      result.output.trimEnd(),
      `error: npm could not install the packages (exitCode=${result.exitCode})`,
      'fix: check that npm reaches its registry (npm ping), then run the same command again',
    ])
  }
  const version = await startPinnedNode(root, tests)
  writeFileSync(`${stamp}.new`, modulesKey(root))
  renameSync(`${stamp}.new`, stamp)
  say(`npm packages ready, Node ${version} (${secondsSince(startedMs)})`)
}

/**
 * Starts the pinned Node for the first time, and installs the one library that it needs beyond
 * a bare Debian. All other packages are the business of src/setup, which runs on that Node.
 *
 * @param {string} root @param {boolean} tests
 * @returns {Promise<string>} its version
 */
async function startPinnedNode(root, tests) {
  const pinnedNode = join(root, 'bin', 'node')
  let probe = await runQuietly(root, pinnedNode, ['--version'])
  const library = /loading shared libraries: (\S+):/.exec(probe.output)?.[1] ?? ''
  const name = NODE_LIBRARIES[library]
  if (name !== undefined) {
    if (!mayInstall()) throw refuseInstall(root, library, name, tests)
    const install = ['install', '--yes', '--no-install-recommends', name]
    const options = ['--option', `DPkg::Lock::Timeout=${APT_LOCK_SECONDS}`]
    say(`installing ${name}, which the pinned Node needs ...`)
    const first = await runQuietly(root, 'apt-get', [...install, ...options])
    if (first.exitCode !== 0) {
      await runQuietly(root, 'apt-get', ['update', ...options]) // its failure shows in the next one
      const second = await runQuietly(root, 'apt-get', [...install, ...options])
      if (second.exitCode !== 0) process.stderr.write(second.output)
    }
    probe = await runQuietly(root, pinnedNode, ['--version'])
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
 * @param {string} root @param {string} library @param {string} name @param {boolean} tests
 */
function refuseInstall(root, library, name, tests) {
  /** @type {{ name: string, proof: string, why: string, architecture?: string, for?: string }[]} */
  const listed = JSON.parse(readFileSync(join(root, 'src', 'setup', 'packages.json'), 'utf8'))
  const architecture = process.arch === 'x64' ? 'x86_64' : 'aarch64'
  const missing = listed
    .filter((one) => (one.architecture ?? architecture) === architecture)
    .filter((one) => tests || one.for !== 'tests')
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
