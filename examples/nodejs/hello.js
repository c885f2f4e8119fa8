// Greets {"name": ...}. A TypeError is the caller's fault: an InputError.
module.exports = async (context, payload) => {
  const name = payload && "name" in payload ? payload.name : "somebody";
  if (!name) throw new TypeError("name is empty");
  console.log(`greeting ${name}`);
  return { hello: name };
};
