import { readFileSync } from 'node:fs'
import type { Certificate, Certificates } from '../certificates.ts'
import { ProxyError } from '../errors.ts'

/** Certificates from PEM files, by the names that the configuration gives them; '*.a.example' is a wildcard. */
export class FileCertificates implements Certificates {
  readonly #byName = new Map<string, Certificate>()
  readonly #first: Certificate | undefined

  /** @throws ProxyError proxy.config_bad: a file cannot be read. */
  constructor(
    files: readonly { names: readonly string[]; chain_file: string; key_file: string }[],
  ) {
    for (const { names, chain_file, key_file } of files) {
      const certificate = { chain: readText(chain_file), key: readText(key_file) }
      this.#first ??= certificate
      for (const name of names) this.#byName.set(name.toLowerCase(), certificate)
    }
  }

  find(name: string, selfSigned: boolean): Certificate | undefined {
    const found = this.#byName.get(name) ?? this.#byName.get(name.replace(/^[^.]+/, '*'))
    return found ?? (selfSigned ? this.#first : undefined)
  }

  challenge(): undefined {
    return undefined
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ProxyError('proxy.config_bad', {
      what: 'cannot read the certificate',
      values: { file },
      fix: 'name a PEM file that exists',
      cause,
    })
  }
}
