import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory, Kafka } from 'kafkajs';

/** A kafkajs client, and a way to be rid of it. */
export interface Client {
  kafka: Kafka;
  /**
   * Ends all of its connections at once and lets it make no others; what waits for an answer fails. Its own
   * `disconnect` waits for what is under way, and on a broker that hangs that is for ever.
   */
  cut(): void;
}

/** A client whose connections can be cut. */
export function createClient(create: (socketFactory: ISocketFactory) => Kafka): Client {
  const sockets = new Set<net.Socket>();
  let over = false;
  const kafka = create(({ host, port, ssl, onConnect }) => {
    if (over) throw new Error('this client has been given up');
    const name = net.isIP(host) ? {} : { servername: host };
    const socket = ssl
      ? tls.connect({ host, port, ...name, ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  });
  return {
    kafka,
    cut() {
      over = true;
      for (const socket of sockets) end(socket);
    },
  };
}

/** kafkajs does not listen for `close`, and calls every error one that an operator should know of. */
function end(socket: net.Socket): void {
  if (socket.connecting) return void socket.destroy(new Error('given up'));
  socket.destroy();
  socket.emit('end');
}

/**
 * Where a client begins: one of the brokers that answers. kafkajs takes the first of its list, and stays with it where it
 * hangs, for the kernel of a machine accepts connections whatever its broker does.
 * @param probe resolves when the broker has answered, rejects when it has not in time.
 * @returns what kafkajs takes for `brokers`.
 */
export function createSeeds(brokers: string[], probe: (broker: string) => Promise<void>): () => Promise<string[]> {
  let turn = 0;
  return async () => {
    if (brokers.length === 1) return brokers;
    const answering = brokers.map((broker) => probe(broker).then(() => broker));
    return [await Promise.any(answering).catch(() => brokers[turn++ % brokers.length]!)];
  };
}
