// One WebSocket carries one streaming call. The first message opens the call
// at the edge; after it one binary message is one gRPC message. Text messages
// measure the way to the edge.

import { create, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { EdgePingSchema, EdgePongSchema, OpenSchema, type CoreHealth, type EdgePong } from "../gen/chatcode/v1/edge_pb";
import { smooth } from "./latency";
import { EDGE_VERSIONS, HANDSHAKE_MS, PING_MS, SILENCE_MS } from "./limits";
import { fromClose, Refusal } from "./refusal";
import type { Call } from "./rpc";

/** The first measurement falls into a busy moment; the second tells more. */
const SOON_MS = 600;

export interface SocketEvents {
  /** The edge takes messages. */
  opened(): void;
  message(bytes: Uint8Array): void;
  /** The edge answered a ping: milliseconds there and back, and what it knows of the core. */
  measured(edgeMs: number, core: CoreHealth | undefined): void;
  /** Once, and nothing after it. */
  ended(refusal: Refusal): void;
}

export class StreamSocket {
  readonly #socket: WebSocket;
  /** When each ping went out that was not answered yet, by its stamp. */
  readonly #sent = new Map<number, number>();
  #stamp = 0;
  /** Ticks since a ping went out and nothing came. */
  #silent = 0;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #edgeMs: number | undefined;
  #ended = false;

  constructor(
    url: string,
    call: Call,
    ticket: string,
    private readonly events: SocketEvents,
  ) {
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const handshake = setTimeout(() => this.#end(new Refusal(Code.UNSPECIFIED, "the edge does not answer")), HANDSHAKE_MS);
    socket.onopen = () => {
      clearTimeout(handshake);
      const open = create(OpenSchema, { versions: EDGE_VERSIONS, ticket, ...call });
      socket.send(toBinary(OpenSchema, open));
      this.#ticker = setInterval(() => this.#tick(), PING_MS);
      this.#ping();
      setTimeout(() => this.#ping(), SOON_MS);
      events.opened();
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (this.#ended) return;
      this.#silent = 0;
      if (typeof event.data === "string") this.#pong(event.data);
      else events.message(new Uint8Array(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(handshake);
      this.#end(fromClose(event.code, event.reason));
    };
  }

  /** Bytes that the browser has not sent yet. */
  get waiting(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends one gRPC message at once; nothing happens when the socket has ended. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#ended && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes);
  }

  /** Ends the call from this side; `ended` is not told. */
  close(): void {
    this.#ended = true;
    clearInterval(this.#ticker);
    this.#socket.close(1000);
  }

  #tick(): void {
    // Counted, not read from the clock: a page that slept, or whose timers the browser slows down,
    // has asked fewer times than time went by, and an answer may wait right behind this tick.
    if (this.#sent.size > 0) this.#silent += 1;
    if (this.#silent * PING_MS >= SILENCE_MS) this.#end(new Refusal(Code.UNSPECIFIED, "the edge went silent"));
    else this.#ping();
  }

  #ping(): void {
    if (this.#ended || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#stamp += 1;
    this.#sent.set(this.#stamp, performance.now());
    this.#socket.send(toJsonString(EdgePingSchema, create(EdgePingSchema, { stamp: this.#stamp })));
  }

  #pong(text: string): void {
    let pong: EdgePong;
    try {
      pong = fromJsonString(EdgePongSchema, text, { ignoreUnknownFields: true });
    } catch {
      return;
    }
    const sent = this.#sent.get(pong.stamp);
    if (sent === undefined) return;
    // Answers come in order; the edge may leave pings out that came too fast.
    for (const stamp of this.#sent.keys()) if (stamp <= pong.stamp) this.#sent.delete(stamp);
    this.#edgeMs = smooth(this.#edgeMs, performance.now() - sent);
    this.events.measured(this.#edgeMs, pong.core);
  }

  #end(refusal: Refusal): void {
    if (this.#ended) return;
    this.close();
    this.events.ended(refusal);
  }
}
