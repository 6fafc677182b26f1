/**
 * In which order a machine takes its steps; `fsm/machine-steps.ts` says what each of them does. Names are in
 * the log: they are not changed.
 */

/** From nothing to an entrypoint that runs. */
export const LAUNCH = ['image', 'root', 'volumes', 'network', 'boot', 'entrypoint'] as const
/**
 * From a suspended guest to one that goes on. What it stands on is made sure of first: the host may have been
 * started anew since. When it cannot be continued it boots, with the root that it has.
 */
export const RESUME = [
  'wake',
  'volumes',
  'network',
  'resume',
  'image',
  'root',
  'boot',
  'entrypoint',
] as const
/** From whatever is there to nothing. */
export const CLEAR = ['kill', 'offline', 'detach', 'unroot'] as const
