import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateClientCertificate, generateClusterCa, generateServerCertificate } from '#trust'
import { PLATFORM_SCHEMA } from '../platform-schema.ts'

/**
 * For tests: writes into a folder what an agent with the platform's tables needs, alone in its cluster.
 *
 * @param port of its API; 0: any that is free
 * @returns path of its configuration
 */
export async function writeTrialAgent(folder: string, port: number): Promise<string> {
  const ca = await generateClusterCa()
  const server = await generateServerCertificate(ca, { names: ['127.0.0.1'] })
  const client = await generateClientCertificate(ca)
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return JSON.stringify(join(folder, name))
  }
  const config = `
db = { path = "${folder}/state.db", schema_paths = [${file('schema.sql', PLATFORM_SCHEMA)}] }
api = { bind_addr = "127.0.0.1:${port}" }
admin = { uds_path = "${folder}/admin.sock" }
log = { level = "error" }
[gossip]
bind_addr = "127.0.0.1:0"
[gossip.tls]
ca_file = ${file('ca.pem', ca.certificatePem)}
cert_file = ${file('server.pem', server.certificatePem)}
key_file = ${file('server-key.pem', server.privateKeyPem)}
client = { cert_file = ${file('client.pem', client.certificatePem)}, key_file = ${file('client-key.pem', client.privateKeyPem)} }
`
  file('corrosion.toml', config)
  return join(folder, 'corrosion.toml')
}
