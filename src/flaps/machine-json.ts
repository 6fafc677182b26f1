import type { MachineJson } from '#flyd'

/** What `summary` leaves of a machine: who it is and how it is, not what it is made of. */
export function summaryOf(machine: MachineJson): Partial<MachineJson> {
  const {
    config: _config,
    incomplete_config: _incomplete,
    checks: _checks,
    events: _events,
    host_status: _status,
    nonce: _nonce,
    ...summary
  } = machine
  return summary
}
