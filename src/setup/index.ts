/**
 * setup: makes a machine ready for this project, and says what it can and cannot do.
 * Owns the list of needed packages and what lies in `build/`. `bin/bootstrap.mjs` comes before it,
 * main.ts is where it enters. Reading order: packages.ts, plan.ts, set-up.ts, apt.ts, piece.ts,
 * trial-guest.ts; then doctor/probe.ts, doctor/run.ts and a probe of your choice.
 */

export { chooseAccelerator } from './doctor/accelerator.ts'
export type { Finding, Probe, ProbeState, Verdict } from './doctor/probe.ts'
export type { DoctorOptions, DoctorReport } from './doctor/run.ts'
export { runDoctor } from './doctor/run.ts'
export { formatReport } from './doctor/table.ts'
export { exitCodeOf, SetupError } from './errors.ts'
