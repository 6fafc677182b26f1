import { join } from 'node:path'
import { testRuntime } from '../contract.ts'

testRuntime({
  name: 'qemu',
  subjectPath: join(import.meta.dirname, 'contract-subject.ts'),
  isVirtual: true,
  leakRounds: 6, // an emulated machine takes its time, also from a template
})
