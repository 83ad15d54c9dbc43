// The client's twins of the chat sample's mutators, and one that the server does
// not know.

/**
 * @typedef {import('replicache').WriteTransaction} WriteTransaction
 * @typedef {{from: string, content: string, order: number}} Message
 */

/** @param {string} id */
export const messageKey = id => `message/${id}`;

export const mutators = {
  /**
   * @param {WriteTransaction} tx
   * @param {Message & {id: string}} args
   */
  async createMessage(tx, {id, from, content, order}) {
    await tx.set(messageKey(id), {from, content, order});
  },

  /**
   * @param {WriteTransaction} tx
   * @param {{id: string, content: string}} args
   */
  async updateMessage(tx, {id, content}) {
    const message = /** @type {Message | undefined} */ (await tx.get(messageKey(id)));
    if (message) {
      await tx.set(messageKey(id), {...message, content});
    }
  },

  /**
   * @param {WriteTransaction} tx
   * @param {{id: string}} args
   */
  async deleteMessage(tx, {id}) {
    await tx.del(messageKey(id));
  },

  /**
   * The server has no such mutator: the effect shows until it is refused.
   * @param {WriteTransaction} tx
   * @param {{key: string}} args
   */
  async unknownToTheServer(tx, {key}) {
    await tx.set(key, 'only here');
  },
};
