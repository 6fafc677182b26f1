import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { exitCodeOf, SetupError } from './errors.ts'
import { parseDpkgStatus } from './facts.ts'
import { neededPackages } from './packages.ts'
import { isDebianLike, type MachineFacts, parseOsRelease, planSetup } from './plan.ts'

const debian = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
const all = neededPackages('x86_64', 'tests').map(({ name }) => name)
const installed = new Map(all.map((name) => [name, 'install ok installed']))

function facts(changes: Partial<MachineFacts>): MachineFacts {
  return {
    architecture: 'x86_64',
    osRelease: debian,
    userId: 0,
    hasApt: true,
    dpkgStatus: installed,
    proven: new Set(all),
    ...changes,
  }
}

const without = (...gone: string[]) => new Set(all.filter((name) => !gone.includes(name)))
const names = (packages: readonly { name: string }[]) => packages.map(({ name }) => name)

function refusal(changes: Partial<MachineFacts>): SetupError {
  try {
    planSetup(facts(changes), 'tests')
  } catch (error) {
    assert(error instanceof SetupError)
    return error
  }
  throw new Error('it did not refuse')
}

test('a machine that has everything needs nothing, whoever asks and whatever the system', () => {
  for (const userId of [0, 1000]) {
    for (const hasApt of [true, false]) {
      for (const osRelease of [debian, 'ID=fedora', '']) {
        const dpkgStatus = hasApt ? installed : new Map<string, string>()
        const plan = planSetup(facts({ userId, hasApt, osRelease, dpkgStatus }), 'tests')
        assert.deepEqual([plan.install, plan.reinstall], [[], []])
      }
    }
  }
})

test('a bare machine gets all packages, in the order of the list', () => {
  const plan = planSetup(facts({ dpkgStatus: new Map(), proven: new Set() }), 'tests')
  assert.deepEqual(names(plan.install), all)
  assert.deepEqual(plan.reinstall, [])
})

test('exactly the packages without proof are installed', () => {
  fc.assert(
    fc.property(fc.subarray([...all]), (gone) => {
      const dpkgStatus = new Map([...installed].filter(([name]) => !gone.includes(name)))
      const plan = planSetup(facts({ dpkgStatus, proven: without(...gone) }), 'tests')
      assert.deepEqual(names(plan.install), gone)
      assert.deepEqual(names(plan.reinstall), [])
    }),
  )
})

test('a package that dpkg has but whose files are gone is installed again', () => {
  const plan = planSetup(facts({ proven: without('curl') }), 'tests')
  assert.deepEqual([names(plan.install), names(plan.reinstall)], [[], ['curl']])
})

test('a package that was removed with its configuration left is installed', () => {
  const dpkgStatus = new Map([...installed, ['bird2', 'deinstall ok config-files'] as const])
  const plan = planSetup(facts({ dpkgStatus, proven: without('bird2') }), 'tests')
  assert.deepEqual(names(plan.install), ['bird2'])
})

test('a package whose installation was cut short does not count, though its command is there', () => {
  for (const state of ['unpacked', 'half-configured', 'half-installed', 'triggers-awaited']) {
    const dpkgStatus = new Map([...installed, ['runc', `install ok ${state}`] as const])
    assert.deepEqual(names(planSetup(facts({ dpkgStatus }), 'tests').install), ['runc'])
  }
})

test('a command from elsewhere than a Debian package counts', () => {
  const dpkgStatus = new Map([...installed].filter(([name]) => name !== 'runc'))
  assert.deepEqual(planSetup(facts({ dpkgStatus }), 'tests').install, [])
})

test('without root the refusal names every package, its reason and the command, and exits 77', () => {
  const error = refusal({ userId: 1000, proven: without('bird2', 'runc') })
  assert.equal(error.code, 'setup.root_needed')
  assert.equal(exitCodeOf(error.code), 77)
  assert.match(error.fix ?? '', /sudo apt-get install --no-install-recommends bird2 runc$/)
  assert.match(error.fix ?? '', /runc +runs machines as containers/)
})

test('without apt or Debian the refusal names every package and exits 69, for root too', () => {
  const changes = [{ hasApt: false }, { osRelease: 'ID=fedora\n' }, { osRelease: '' }]
  for (const change of changes) {
    for (const userId of [0, 1000]) {
      const error = refusal({ ...change, userId, proven: without('tini') })
      assert.equal(error.code, 'setup.packages_by_hand')
      assert.equal(exitCodeOf(error.code), 69)
      assert.match(error.fix ?? '', /tini +reaps/)
    }
  }
})

test('an unknown processor is refused even when nothing is missing, and exits 69', () => {
  const error = refusal({ architecture: 'riscv64' })
  assert.equal(error.code, 'setup.platform_unsupported')
  assert.equal(exitCodeOf(error.code), 69)
})

test('arm machines get the QEMU that emulates them', () => {
  const plan = planSetup(
    facts({ architecture: 'aarch64', dpkgStatus: new Map(), proven: new Set() }),
    'tests',
  )
  assert(names(plan.install).includes('qemu-system-arm'))
  assert(!names(plan.install).includes('qemu-system-x86'))
})

test('Debian, Ubuntu and their children are recognised, others are not', () => {
  for (const text of [
    debian,
    'ID=ubuntu\nID_LIKE=debian',
    'ID="linuxmint"\nID_LIKE="ubuntu debian"',
  ])
    assert.equal(isDebianLike(text), true, text)
  for (const text of ['', 'ID=fedora', 'ID=arch', 'NAME=debian', 'ID=notdebian', 'XID=debian'])
    assert.equal(isDebianLike(text), false, text)
})

test('os-release is read with quotes, comments, escapes and strange lines', () => {
  const text = `# ID=fedora\nA=plain\nB="two words"\nC='single'\nD="a \\"b\\" \\$c"\nnot a line\nE=\n`
  assert.deepEqual(parseOsRelease(text), {
    ...{ A: 'plain', B: 'two words', C: 'single', D: 'a "b" $c', E: '' },
  })
  fc.assert(fc.property(fc.string(), (any) => void parseOsRelease(any)))
})

test('the answer of dpkg-query is read row by row', () => {
  const text = 'bird2\tinstall ok installed\ncurl\tunknown ok not-installed\n'
  const expected = new Map([
    ['bird2', 'install ok installed'],
    ['curl', 'unknown ok not-installed'],
  ])
  assert.deepEqual(parseDpkgStatus(text), expected)
})

test('to run the platform, no package is installed that only tests need', () => {
  const running = names(neededPackages('x86_64', 'running'))
  assert(running.includes('runc') && running.includes('nats-server'))
  for (const peer of ['haproxy', 'nginx-light', 'caddy', 'wrk', 'docker-registry']) {
    assert(all.includes(peer) && !running.includes(peer), peer)
  }
  assert.deepEqual(
    running.filter((name) => !all.includes(name)),
    [],
  )
})

test('every needed package has a reason and appears once', () => {
  for (const architecture of ['x86_64', 'aarch64'] as const) {
    const packages = neededPackages(architecture, 'tests')
    assert.equal(new Set(names(packages)).size, packages.length)
    for (const { name, why, proof } of packages) {
      assert.match(name, /^[a-z0-9][a-z0-9+.-]+$/) // Debian policy, section 5.6.1
      assert(why.length > 10 && proof !== '', name)
    }
  }
})
