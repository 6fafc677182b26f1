import { refuse } from '../errors.ts'
import type { MachineConfigJson } from '../machine-json.ts'

/**
 * What no host can run is refused before anything is reserved, rather than accepted and failed later. Unknown
 * keys pass.
 *
 * @throws FlydError flyd.argument_bad
 */
export function checkConfig(config: MachineConfigJson): void {
  if (countOf(config['containers']) > 0) {
    throw bad("containers are not supported: make a machine of each, with the container's image")
  }
  if (countOf(config['processes']) > 1) {
    throw bad('several processes in one machine are not supported: make a machine of each')
  }
  if (typeof config.image !== 'string' || config.image === '') {
    throw bad('config.image is required')
  }
}

const countOf = (value: unknown) => (Array.isArray(value) ? value.length : 0)

const bad = (what: string) => refuse('flyd.argument_bad', `invalid_argument: ${what}`)
