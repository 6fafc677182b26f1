import { GodwitError } from '#base'

export type PlanetErrorCode = keyof typeof PlanetError.catalogue

/** What building, changing or removing a planet can end in. */
export class PlanetError extends GodwitError<PlanetErrorCode> {
  static override readonly catalogue = {
    /** The topology contradicts itself; every problem is listed. Nothing was created. */
    'planet.topology_bad': { status: 422 },
    'planet.name_bad': { status: 422 },
    'planet.not_found': { status: 404 },
    /** A planet of that name exists with another topology. */
    'planet.exists': { status: 409 },
    /** Another process is building or removing this planet right now. */
    'planet.busy': { status: 409, transient: true },
    /** The planet was left half-built or half-removed. */
    'planet.incomplete': { status: 409 },
    'planet.node_unknown': { status: 404 },
    'planet.node_down': { status: 409 },
    'planet.link_unknown': { status: 404 },
    /** The link is a plain one: it has no delay to change. */
    'planet.link_immediate': { status: 409 },
    'planet.prefix_unknown': { status: 404 },
    'planet.command_exists': { status: 409 },
    'planet.command_unknown': { status: 404 },
    'planet.port_taken': { status: 409 },
    /** A system command that the planet is built with failed. */
    'planet.system': { status: 500 },
    /** The world came up, but its routers did not agree within the deadline. */
    'planet.not_converged': { status: 504, transient: true },
  } as const
}
