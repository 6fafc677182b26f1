import type { Vm } from '#app-config'
import { ApiInputError } from './input-error.ts'
import type { MachineSettings } from './machine-settings.ts'

type Guest = Readonly<Record<string, unknown>>

/** The smallest size, or what the machine has, as the options change it. @throws ApiInputError cli.bad_value */
export async function guestOf(
  before: Guest | undefined,
  settings: Pick<
    MachineSettings,
    'vmSize' | 'vmCpus' | 'vmCpuKind' | 'vmMemory' | 'hostDedicationId' | 'kernelArg'
  >,
): Promise<Guest> {
  const { hostDedicationId: dedication, kernelArg: kernelArguments = [] } = settings
  const more = {
    ...(dedication === undefined ? {} : { host_dedication_id: dedication }),
    ...(kernelArguments.length === 0 ? {} : { kernel_args: kernelArguments }),
  }
  const wanted = wantedVm(settings)
  if (before !== undefined && Object.keys(wanted).length === 0) return { ...before, ...more }
  const { guestOfVm } = await import('#app-config')
  const present = before === undefined || wanted.size !== undefined ? {} : presentVm(before)
  const memory = wanted.memory ?? present.memory
  const vm: Vm = { ...present, ...wanted }
  const { memory: _, ...least } = vm
  let guest = guestOfVm(memory === undefined ? least : { ...least, memory })
  // More CPUs need more memory than it has: then it gets the least that goes with them.
  if ('what' in guest && wanted.memory === undefined) guest = guestOfVm(least)
  if (!('what' in guest)) return { ...before, ...guest, ...more }
  throw new ApiInputError('cli.bad_value', {
    what: `--vm-${guest.key.replaceAll('_', '-')} ${guest.what}`,
    fix: '`godwit platform vm-sizes` lists the sizes that there are',
  })
}

function wantedVm({
  vmSize,
  vmCpus,
  vmCpuKind,
  vmMemory,
}: Pick<MachineSettings, 'vmSize' | 'vmCpus' | 'vmCpuKind' | 'vmMemory'>): Vm {
  return {
    ...(vmSize === undefined ? {} : { size: vmSize }),
    ...(vmCpus === undefined ? {} : { cpus: Number(vmCpus) }),
    ...(vmCpuKind === undefined ? {} : { cpu_kind: vmCpuKind }),
    ...(vmMemory === undefined ? {} : { memory: memoryText(vmMemory) }),
  }
}

function presentVm({ cpus, cpu_kind: kind, memory_mb: memory }: Guest): Vm {
  return {
    ...(typeof cpus === 'number' ? { cpus } : {}),
    ...(typeof kind === 'string' ? { cpu_kind: kind } : {}),
    ...(typeof memory === 'number' ? { memory: `${memory}mb` } : {}),
  }
}

/** A bare number is megabytes, as flyctl takes it. */
export const memoryText = (text: string): string => (/^\d+$/.test(text) ? `${text}mb` : text)
