import { systemClock } from '#base'

/** placeholder until #base has it */
export async function waitFor(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const endMs = systemClock.monotonicMs() + deadlineMs
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`waited ${deadlineMs} ms for ${what}`)
    await systemClock.sleep(10, signal)
  }
}
