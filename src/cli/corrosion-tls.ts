import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { CorrosionCliError } from './corrosion-error.ts'

interface TlsOptions {
  readonly out: string
  readonly caCert: string
  readonly caKey: string
  readonly json?: true
}

/** `godwit corrosion tls`: the cluster's CA, and certificates of its nodes. */
export function tlsCommand(): Command {
  return new Command('tls')
    .summary('the cluster CA, and certificates of its nodes')
    .addCommand(new Command('ca').summary('the authority of a cluster').addCommand(caCommand()))
    .addCommand(
      new Command('server').summary('what a node shows to peers').addCommand(serverCommand()),
    )
    .addCommand(new Command('client').summary('what a node dials with').addCommand(clientCommand()))
}

function generating(summary: string): Command {
  return new Command('generate')
    .summary(summary)
    .description(
      `${summary}. Keys are written with mode 0600; files that exist are never replaced.`,
    )
    .option('--out <folder>', 'where the files go', '.')
    .option('--json', 'print JSON')
}

function caCommand(): Command {
  return generating('make a CA: ca_cert.pem, ca_key.pem')
    .action(async (options: TlsOptions) => {
      const { generateClusterCa } = await import('#trust')
      writePair(options, 'ca', await generateClusterCa())
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion tls ca generate --out /etc/godwit/tls`)
}

function signing(summary: string): Command {
  return generating(summary)
    .option('--ca-cert <file>', 'the CA', 'ca_cert.pem')
    .option('--ca-key <file>', 'its key', 'ca_key.pem')
}

function serverCommand(): Command {
  return signing('make a server certificate: server_cert.pem, server_key.pem')
    .argument('<address...>', 'addresses under which peers reach the node')
    .action(async (names: string[], options: TlsOptions) => {
      const { generateServerCertificate } = await import('#trust')
      writePair(options, 'server', await generateServerCertificate(readCa(options), { names }))
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion tls server generate 10.0.0.1 fdaa::1`)
}

function clientCommand(): Command {
  return signing('make a client certificate: client_cert.pem, client_key.pem')
    .action(async (options: TlsOptions) => {
      const { generateClientCertificate } = await import('#trust')
      writePair(options, 'client', await generateClientCertificate(readCa(options)))
    })
    .addHelpText('after', `\nExample:\n  $ godwit corrosion tls client generate`)
}

function readCa({ caCert, caKey }: TlsOptions) {
  return {
    certificatePem: readFileSync(caCert, 'utf8'),
    privateKeyPem: readFileSync(caKey, 'utf8'),
  }
}

function writePair(
  { out, json }: TlsOptions,
  name: string,
  pair: { readonly certificatePem: string; readonly privateKeyPem: string },
): void {
  const files = { cert: join(out, `${name}_cert.pem`), key: join(out, `${name}_key.pem`) }
  for (const file of Object.values(files)) {
    if (!existsSync(file)) continue
    throw new CorrosionCliError('cli.file_exists', {
      what: 'the file exists already',
      values: { file },
      fix: 'move it away, or name another folder with --out',
    })
  }
  writeFileSync(files.key, pair.privateKeyPem, { mode: 0o600, flag: 'wx' })
  writeFileSync(files.cert, pair.certificatePem, { flag: 'wx' })
  process.stdout.write(json ? `${JSON.stringify(files)}\n` : `${files.cert}\n${files.key}\n`)
}
