/** A WireGuard device of the mesh. */
import type { Programs } from '../programs/programs.ts'
import type { System } from '../system.ts'
import {
  ensureWireGuardDevice,
  readWireGuardDevice,
  removeWireGuardDevice,
  type WireGuardDeviceSpec,
} from '../wireguard/wireguard-device.ts'

export const MESH_DEVICE_PREFIX = 'gwmesh'
export const meshDevice = (generation: number): string => `${MESH_DEVICE_PREFIX}${generation}`

export interface MeshDeviceSpec
  extends Pick<WireGuardDeviceSpec, 'key' | 'listenPort' | 'mtuBytes'> {
  readonly generation: number
}

/** @returns its interface index */
export const ensureMeshDevice = (
  system: System,
  programs: Programs,
  { generation, ...spec }: MeshDeviceSpec,
  signal?: AbortSignal,
): Promise<number> => {
  const own = { device: meshDevice(generation), ingress: 'from_mesh', egress: 'to_mesh' } as const
  return ensureWireGuardDevice(system, programs, { ...spec, ...own }, signal)
}

/** @returns undefined: there is no such device */
export const readMeshDevice = (system: System, generation: number, signal?: AbortSignal) =>
  readWireGuardDevice(system, meshDevice(generation), signal)

/** May run twice. */
export const removeMeshDevice = (
  system: System,
  programs: Programs,
  generation: number,
  signal?: AbortSignal,
): Promise<void> => removeWireGuardDevice(system, programs, meshDevice(generation), signal)
