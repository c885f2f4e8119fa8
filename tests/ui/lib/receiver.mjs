// Subscribers' endpoints on one server. What they took is the truth that the board is held against.
import { createServer } from "node:http";

export class Receiver {
  static async start() {
    const receiver = new Receiver();
    receiver.endpoints = new Map();
    receiver.server = createServer((request, response) => receiver.#take(request, response));
    await new Promise((resolve) => receiver.server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  /** `status`, or `statusOf` a request, `delay` (ms) and `hangs` may be changed at any time;
   *  answerHanging() ends the last. */
  endpoint(name, status = 204, delay = 0) {
    const url = `http://127.0.0.1:${this.server.address().port}/${name}`;
    const endpoint = { url, status, delay, hangs: false, tried: 0, accepted: 0, hanging: [] };
    endpoint.answerHanging = () => {
      endpoint.hangs = false;
      for (const answer of endpoint.hanging.splice(0)) answer();
    };
    this.endpoints.set(`/${name}`, endpoint);
    return endpoint;
  }

  /** A function of runtime http: handle(payload) -> {payload?, error?, stdout?, stderr?}. */
  function(name, handle) {
    const endpoint = this.endpoint(name);
    endpoint.answer = (body) => {
      const { payload = null, error = null, stdout = null, stderr = null } = handle(JSON.parse(body).payload);
      return JSON.stringify({ context: { error, logs: { stdout, stderr } }, payload });
    };
    return endpoint;
  }

  #take(request, response) {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece)).on("end", () => {
      const endpoint = this.endpoints.get(request.url);
      if (!endpoint) return response.writeHead(404).end();
      endpoint.tried++;
      if (endpoint.answer) {
        return response.writeHead(200, { "Content-Type": "application/json" }).end(endpoint.answer(Buffer.concat(pieces)));
      }
      const answer = () => {
        const status = endpoint.statusOf?.(request) ?? endpoint.status;
        if (status < 300) endpoint.accepted++;
        response.writeHead(status, { "Content-Type": "text/plain" });
        response.end(status < 300 ? "" : `no: ${status}`);
      };
      if (endpoint.hangs) return endpoint.hanging.push(answer);
      setTimeout(answer, endpoint.delay);
    });
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
