// One WebSocket carries one streaming call. The first message opens the call
// at the edge; after it one binary message is one gRPC message. Text messages
// measure the way to the edge.

import { create, toBinary } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { OpenSchema } from "../gen/chatcode/v1/edge_pb";
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
  /** Milliseconds page to edge and edge to core; the second is missing until it was measured. */
  measured(edgeMs: number, coreMs: number | undefined): void;
  /** Once, and nothing after it. */
  ended(refusal: Refusal): void;
}

export class StreamSocket {
  readonly #socket: WebSocket;
  #heard = performance.now();
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
      this.#heard = performance.now();
      this.#ticker = setInterval(() => this.#tick(), PING_MS);
      this.#ping();
      setTimeout(() => this.#ping(), SOON_MS);
      events.opened();
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (this.#ended) return;
      this.#heard = performance.now();
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
    // A page that slept gets one more round before its socket is given up.
    const silent = performance.now() - this.#heard;
    if (silent > SILENCE_MS) this.#end(new Refusal(Code.UNSPECIFIED, "the edge went silent"));
    else this.#ping();
  }

  #ping(): void {
    if (!this.#ended && this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ ping: Math.round(performance.now() * 1000) }));
    }
  }

  #pong(text: string): void {
    let answer: { pong?: unknown; core_rtt_us?: unknown };
    try {
      answer = JSON.parse(text) as typeof answer;
    } catch {
      return;
    }
    if (typeof answer.pong !== "number") return;
    this.#edgeMs = smooth(this.#edgeMs, performance.now() - answer.pong / 1000);
    const core = typeof answer.core_rtt_us === "number" && answer.core_rtt_us > 0 ? answer.core_rtt_us / 1000 : undefined;
    this.events.measured(this.#edgeMs, core);
  }

  #end(refusal: Refusal): void {
    if (this.#ended) return;
    this.close();
    this.events.ended(refusal);
  }
}
