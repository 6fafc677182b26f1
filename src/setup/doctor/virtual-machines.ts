import { accessSync, constants } from 'node:fs'
import { errorCode } from '#base'
import type { Probe, Verdict } from './probe.ts'
import { hasTrialGuest, type Trial, tryBoot } from './trial-boot.ts'

/** Longer than the trial itself, which has a deadline of its own. */
const PROBE_DEADLINE_MS = 45_000

/** Hardware virtualisation, by booting a guest with it. */
export const kvm: Probe = {
  name: 'KVM',
  required: false,
  needsRoot: false,
  deadlineMs: PROBE_DEADLINE_MS,
  async examine(context) {
    const problem = deviceProblem('/dev/kvm')
    if (problem === 'closed') {
      return { ...noKvm('/dev/kvm may not be opened'), fix: 'sudo usermod -aG kvm $USER' }
    }
    if (problem === 'absent') return noKvm('/dev/kvm is absent')
    if (!hasTrialGuest(context.buildFolder)) return noTrialGuest()
    const trial = await tryBoot('kvm', context)
    if (trial.booted) return { state: 'ok', detail: describe(trial) }
    return noKvm(
      trial.said ??
        `/dev/kvm is there, but a guest hangs (gave up after ${seconds(trial)}${howKnown(trial)})`,
    )
  },
}

/** QEMU without KVM. */
export const emulation: Probe = {
  name: 'emulation (QEMU TCG)',
  required: false,
  needsRoot: false,
  deadlineMs: PROBE_DEADLINE_MS,
  async examine(context) {
    if (!hasTrialGuest(context.buildFolder)) return noTrialGuest()
    const trial = await tryBoot('tcg', context)
    if (trial.booted) return { state: 'ok', detail: describe(trial) }
    return {
      state: 'missing',
      detail: trial.said ?? `a guest did not come up within ${seconds(trial)}`,
      consequence: 'without KVM no virtual machine runs here',
      fix: 'npm run setup, then bin/godwit doctor --fresh on a quiet machine',
    }
  },
}

function noKvm(detail: string): Verdict {
  return {
    state: 'missing',
    detail,
    consequence: 'machines run emulated or as containers: slower to start, and slower',
    fix: 'use bare metal or a virtual machine with nested virtualisation; then doctor --fresh',
  }
}

function noTrialGuest(): Verdict {
  return {
    state: 'missing',
    detail: 'not tried: the trial guest is not built',
    consequence: 'unknown',
    fix: 'npm run setup',
  }
}

function describe(trial: Trial): string {
  return `QEMU ${trial.qemuVersion} boots a guest in ${seconds(trial)}${howKnown(trial)}`
}

const howKnown = ({ cached }: Trial) => (cached ? ', remembered; --fresh tries again' : '')

const seconds = ({ tookMs }: Trial) => `${(tookMs / 1000).toFixed(1)} s`

function deviceProblem(path: string): 'absent' | 'closed' | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? 'absent' : 'closed'
  }
}
