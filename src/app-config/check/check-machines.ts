import type { AppConfig, Vm } from '../app-config.ts'
import { guestOfVm } from '../machine-size.ts'
import type { Problems } from '../problem.ts'

const ROOTFS = ['never', 'restart', 'always'] as const

/** `[[vm]]`, `[[restart]]` and the size of the release command's machine. */
export function checkMachines(
  { vm = [], restart = [], deploy }: AppConfig,
  problems: Problems,
): void {
  for (const [index, one] of vm.entries()) checkVm(one, `/vm/${index}`, problems)
  if (deploy?.release_command_vm !== undefined) {
    checkVm(deploy.release_command_vm, '/deploy/release_command_vm', problems)
  }
  for (const [index, { policy, retries }] of restart.entries()) {
    problems.oneOf(`/restart/${index}/policy`, policy, ['always', 'never', 'on-failure'])
    if (policy === undefined) problems.error(`/restart/${index}`, 'lacks its policy')
    problems.within(`/restart/${index}/retries`, retries, 0, Number.MAX_SAFE_INTEGER)
  }
}

function checkVm(vm: Vm, path: string, problems: Problems): void {
  problems.oneOf(`${path}/persist_rootfs`, vm.persist_rootfs, ROOTFS)
  if (vm.gpu_kind !== undefined || (vm.gpus ?? 0) > 0) {
    problems.error(path, 'asks for GPUs, which hosts do not offer')
    return
  }
  const guest = guestOfVm(vm)
  if ('what' in guest) problems.error(`${path}/${guest.key}`, guest.what)
}
