package example;

import java.util.Map;
import java.util.function.BiFunction;

/** Greets {"name": ...}. An IllegalArgumentException is the caller's fault: an InputError. */
public class Hello implements BiFunction<Map<String, Object>, Hello.Person, Hello.Greeting> {
  public static class Person {
    public String name;
  }

  public static class Greeting {
    public final String hello;

    Greeting(String hello) {
      this.hello = hello;
    }
  }

  @Override
  public Greeting apply(Map<String, Object> context, Person person) {
    if (person == null || person.name == null || person.name.isEmpty()) {
      throw new IllegalArgumentException("name is empty");
    }
    System.out.println("greeting " + person.name);
    return new Greeting(person.name);
  }
}
