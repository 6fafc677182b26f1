import type { Call } from './call.ts'

/** For the next reads through this instance: the rows are behind now. */
export function noteWrite({ services, machine }: Pick<Call, 'services' | 'machine'>): void {
  services.recent.note(machine.id, machine)
}
