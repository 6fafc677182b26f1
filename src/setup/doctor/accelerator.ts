import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { commandRunner } from './command-runner.ts'
import { type Accelerator, hasTrialGuest, type TrialContext, tryBoot } from './trial-boot.ts'

/** Longer than the trial itself, which has a deadline of its own. */
const TRIAL_DEADLINE_MS = 45_000

/**
 * What virtual machines run with here: `kvm` where a guest has booted with it, else `tcg`. The verdict is
 * doctor's own, and remembered with it until this machine reboots: only the first call after that may take
 * seconds, and only where there is a /dev/kvm.
 *
 * @param root the checkout.
 * @throws SetupError setup.command_missing: no QEMU is here; the signal's reason.
 */
export async function chooseAccelerator(root: string, signal: AbortSignal): Promise<Accelerator> {
  const context = {
    ...{ signal, buildFolder: join(root, 'build'), fresh: false },
    run: commandRunner(signal, TRIAL_DEADLINE_MS),
  }
  return await acceleratorOf('/dev/kvm', context)
}

/** @param device the host's door to KVM: without it nothing is tried. */
export async function acceleratorOf(device: string, context: TrialContext): Promise<Accelerator> {
  if (!mayOpen(device) || !hasTrialGuest(context.buildFolder)) return 'tcg'
  return (await tryBoot('kvm', context)).booted ? 'kvm' : 'tcg'
}

function mayOpen(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}
