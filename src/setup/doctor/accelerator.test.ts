import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TRIAL_MARKER } from '../trial-guest.ts'
import { acceleratorOf } from './accelerator.ts'
import type { ProbeContext } from './probe.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-accelerator-'))
  for (const name of ['kernel/vmlinuz', 'trial/initramfs.cpio.gz', 'kvm']) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), '')
  }
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** @param said what QEMU's guest prints; `version` tells verdicts of one test from another's. */
function host(said: string, version: string) {
  const boots: string[] = []
  const run: ProbeContext['run'] = async (_command, args, extra) => {
    if (args[0] === '--version') return { exitCode: 0, stdout: `version ${version}`, stderr: '' }
    boots.push(args[args.indexOf('-accel') + 1] ?? '')
    extra?.isEnough?.(said)
    return { exitCode: 0, stdout: said, stderr: '' }
  }
  const signal = new AbortController().signal
  return { boots, context: { signal, buildFolder: folder, fresh: false, run } }
}

test('KVM is used where a guest has booted with it, and that is found out once', async () => {
  const { boots, context } = host(TRIAL_MARKER, '1.0')
  assert.equal(await acceleratorOf(join(folder, 'kvm'), context), 'kvm')
  assert.equal(await acceleratorOf(join(folder, 'kvm'), context), 'kvm')
  assert.deepEqual(boots, ['kvm'])
})

test('a KVM whose guests hang is not used, and not waited for twice', async () => {
  const { boots, context } = host('', '2.0')
  assert.equal(await acceleratorOf(join(folder, 'kvm'), context), 'tcg')
  assert.equal(await acceleratorOf(join(folder, 'kvm'), context), 'tcg')
  assert.deepEqual(boots, ['kvm'])
})

test('without a device of KVM, or without a guest to try it with, nothing is tried', async () => {
  const { boots, context } = host(TRIAL_MARKER, '3.0')
  assert.equal(await acceleratorOf(join(folder, 'none'), context), 'tcg')
  const unbuilt = { ...context, buildFolder: join(folder, 'none') }
  assert.equal(await acceleratorOf(join(folder, 'kvm'), unbuilt), 'tcg')
  assert.deepEqual(boots, [])
})
