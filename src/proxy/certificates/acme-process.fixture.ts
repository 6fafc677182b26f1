/** An AcmeServer as a process of a planet's node: `ADDRESS PORT TARGET`. Names that begin with `http.` are not offered TLS-ALPN-01. */
import { AcmeServer } from './acme-server.fixture.ts'

const [address = '', port = '', target = ''] = process.argv.slice(2)
const server = new AcmeServer()
server.target = { address: target, httpPort: 80, tlsPort: 443 }
server.offers = (name) =>
  server.offered.filter((type) => type !== 'tls-alpn-01' || !name.startsWith('http.'))
await server.start({ address, port: Number(port) })
